"""Every sentence that says what a number means, once: for the terminal, the page and a study's conclusions.

To add one, write a function of numbers and names that gives a sentence; who shows it marks it up.
"""
