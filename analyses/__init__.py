"""One question, one file, one table. README.md lists what was asked and what was found."""
