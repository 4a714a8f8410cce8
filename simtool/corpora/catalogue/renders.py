"""How rows of the corpora that are known by name become documents, where no layout says it.

A render reads the columns of the hub and the fields of the usual files alike. Prompts are bare, as in the paper
(arXiv:2510.14865): no chat template; the response follows the prompt after a newline, which belongs to the prompt.
"""

import re
from dataclasses import dataclass

from simtool.corpora.corpus import Document, Segment, plain_text, prompt_and_response
from simtool.corpora.reading import Row


@dataclass(frozen=True)
class Pair:
    """A render for prompt and response; "a|b" is the first of these fields that a row has."""

    prompt: str
    response: str

    def __call__(self, row: Row) -> Document:
        return prompt_and_response(_first(row, self.prompt), _first(row, self.response), "\n")


def _first(row: Row, names: str) -> str:
    known = names.split("|")
    return row[next((name for name in known if name in row), known[0])]


STARCODER_TAGS = re.compile(r"\A(?:<(?:reponame|filename|gh_stars)>[^<\n]*)+\n?")


def render_starcoder(row: Row) -> Document:
    """Without the repository's name and stars, which open some files of the hub as tags."""
    return plain_text(STARCODER_TAGS.sub("", _first(row, "content|text")))


def render_wikipedia(row: Row) -> Document:
    """The hub keeps the title apart; in the files the text begins with it."""
    text, title = row["text"], row.get("title") or ""
    return plain_text(text if text.startswith(title) else f"{title}\n\n{text}")


def render_imdb(row: Row) -> Document:
    return plain_text(re.sub(r"(<br ?/?>)+", "\n", row["text"]))


def render_knowledge(row: Row) -> Document:
    """Natural Questions gives a list of answers, TriviaQA a record of one; MedQuAD left some out."""
    answer = row["answer"]
    if isinstance(answer, dict):
        answer = answer["value"]
    elif isinstance(answer, list):
        answer = answer[0]
    return prompt_and_response(row["question"], answer, "\n") if answer else Document(())


FUNCTION_EXAMPLE = {
    "func_name": "halve",
    "func_documentation_string": "Divide a number by two, rounding towards zero.",
    "func_code_string": "def halve(number):\n    half = number / 2\n    return int(half)",
}


def render_pycode(row: Row) -> Document:
    """The whole docstring, then the function without it: on the hub the function still holds it."""
    documentation, code = row["func_documentation_string"], row["func_code_string"]
    return prompt_and_response(documentation, _without_docstring(code, documentation), "\n")


def _without_docstring(code: str, documentation: str) -> str:
    # by search and not by ast, because CodeSearchNet holds Python 2 too
    start = code.find(documentation)
    before = code[: max(start, 0)].rstrip()
    quote = before[-3:]
    if not documentation or quote not in ('"""', "'''"):
        return code
    after = code[start + len(documentation) :].lstrip()
    if not after.startswith(quote):
        return code
    return before[:-3].rstrip("rRuU \t\n") + "\n" + after[3:].lstrip(" \t").removeprefix("\n")


def render_lima(row: Row) -> Document:
    """Questions and replies in turn, of which the last reply is learnt; LIMA's test questions have none."""
    turns = row["conversations"]
    n_read = max(1, len(turns) // 2 * 2)  # a last question without a reply is left out
    segments: list[Segment] = []
    for n, text in enumerate(turns[:n_read], 1):
        is_reply = n % 2 == 0
        segments.append(Segment("assistant" if is_reply else "user", text + "", is_reply and n == n_read))
        if not segments[-1].counted:
            segments.append(Segment("template", "\n", False))
    return Document(tuple(segments))


def render_sciq(row: Row) -> Document:
    support = row["support"]
    return prompt_and_response((support + "\n" if support else "") + row["question"], row["correct_answer"], "\n")


def render_social_iqa(row: Row) -> Document:
    right = {"1": "answerA", "2": "answerB", "3": "answerC"}[str(row["label"]).strip()]
    return prompt_and_response(row["context"] + " " + row["question"], row[right], "\n")


TREC_CLASSES = {
    "ABBR": "abbreviation",
    "ENTY": "entity",
    "DESC": "description",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}


def render_trec(row: Row) -> Document:
    """The class is a number on the hub and a code in the files; it is answered in words."""
    label = row["coarse_label"]
    code = list(TREC_CLASSES)[label] if isinstance(label, int) else label
    return prompt_and_response(row["text"], TREC_CLASSES[code], "\n")


def render_mr(row: Row) -> Document:
    """The label is a number on the hub and text in the files."""
    return prompt_and_response(row["text"].strip(), {"0": "negative", "1": "positive"}[str(row["label"])], "\n")
