"""Every sentence that says what a number means, once: for the terminal, the page and a study's conclusions.

To add one, write a function of numbers and names that gives a sentence; who shows it marks it up.
"""


def readable(ngram: str | None) -> str:
    """An n-gram as people can read it, white space made visible."""
    if ngram is None:
        return "(a bucket of rarer n-grams)"
    for sign, shown in (("\n", "⏎"), ("\t", "⇥")):
        ngram = ngram.replace(sign, shown)
    return ngram if ngram == ngram.strip() else ngram.replace(" ", "␣")
