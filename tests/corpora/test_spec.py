"""One syntax names a corpus; a file that has the whole text as its name is that file."""

import pytest

from simtool.corpora.spec import Spec, parse_spec
from simtool.errors import SimtoolError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("c4", Spec("c4")),
        ("gsm8k[assistant]", Spec("gsm8k", view="assistant")),
        ("gsm8k@test", Spec("gsm8k", split="test")),
        ("a.jsonl", Spec("a.jsonl")),
        ("a.jsonl#body", Spec("a.jsonl", "body")),
        ("a.jsonl#q,r->a[user]@test", Spec("a.jsonl", "q,r->a", "user", "test")),
        ("chat.jsonl[assistant]", Spec("chat.jsonl", view="assistant")),
        ("openai/gsm8k:main#question@test", Spec("openai/gsm8k:main", "question", split="test")),
        ("s3://bucket/a@b/c.jsonl", Spec("s3://bucket/a@b/c.jsonl")),
        ("data/*.jsonl", Spec("data/*.jsonl")),
        ("data/part-[0-9]", Spec("data/part-[0-9]")),
        ("data/*[ab]", Spec("data/*[ab]")),  # a class of characters, and no view
        ("we#ird.jsonl#body", Spec("we#ird.jsonl", "body")),
    ],
)
def test_parts_are_read_off_the_end(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "name", ["a#b.jsonl", "a[user]", "a@test", "a b+c:d=e,f#g[text]@train", "chat.jsonl[assistant]", "#", "[user]"]
)
def test_a_file_is_called_what_it_is_called(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"text": "x"}\n')
    assert parse_spec(str(path)) == Spec(str(path))
    assert parse_spec(f"{path}#body[user]@test") == Spec(str(path), "body", "user", "test")


def test_an_unknown_view_is_answered_with_the_known_ones():
    with pytest.raises(SimtoolError) as error:
        parse_spec("chat.jsonl[asistant]")
    assert str(error.value) == (
        "Unknown view 'asistant'. Did you mean 'assistant'?\nKnown: assistant, reasoning, system, text, tool, user."
    )


@pytest.mark.parametrize(
    ("location", "is_path"),
    [("c4", False), ("./c4", True), ("x.jsonl", True), ("-", True), ("https://x.org/a", True), ("a/b", False)],
)
def test_what_is_a_path(location, is_path):
    assert Spec(location).is_path == is_path
