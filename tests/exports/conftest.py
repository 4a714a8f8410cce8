"""Three small corpora of own files, in three layouts."""

import json

import pytest

from simtool.exports.request import ExportRequest
from simtool.mixture import parse_mixture
from simtool.profiles.resolve import Options
from tests.conftest import sentences, write_jsonl


@pytest.fixture
def corpora(tmp_path) -> dict[str, str]:
    """By layout, the path of a corpus."""
    texts = write_jsonl(tmp_path / "web.jsonl", sentences(60))
    notes = tmp_path / "notes.jsonl"
    notes.write_text("".join(json.dumps({"body": text}) + "\n" for text in sentences(60, seed=1)))
    chat = tmp_path / "chat.jsonl"
    turns = [
        {"role": "user", "content": "Is 91 prime?"},
        {"role": "assistant", "content": "<think>\n7 * 13\n</think>\nNo."},
        {"role": "user", "content": "And 97?"},
        {"role": "assistant", "content": "Yes."},
    ]
    rows = [{"messages": [*turns, {"role": "user", "content": f"Thanks {n}."}, turns[3]]} for n in range(40)]
    chat.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(json.dumps({"question": f"{n} + 1?", "answer": f"It is {n + 1}."}) + "\n" for n in range(40))
    )
    return {"text": str(texts), "body": str(notes), "chat": str(chat), "pair": str(pairs)}


@pytest.fixture
def request_of():
    """A request to export a mixture, by its name."""

    def build(name: str, tokens: int | None = 1000, **settings) -> ExportRequest:
        basis = {"kind": "mixture", "content_sha256": "ab12"}
        return ExportRequest(parse_mixture(name), tokens, basis=basis, options=Options(), **settings)

    return build
