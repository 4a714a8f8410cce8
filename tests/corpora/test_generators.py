"""Generated text is the same everywhere, and what it says is true: equations add up, the world agrees with itself."""

import hashlib
import json
import re

import pytest

from simtool.corpora.catalogue import find_corpus
from simtool.corpora.generators import GENERATORS, LIST_ROWS, VERSION, Generated
from tests.corpora.generated.equations import rows

each_kind = pytest.mark.parametrize("kind", GENERATORS)


@each_kind
def test_a_longer_source_begins_with_the_shorter(kind):
    short, long = Generated(kind, n_documents=700), Generated(kind, n_documents=1_100)
    first = [row for batch in short.read() for row in batch]
    assert len(first) == 700
    assert first == [row for batch in long.read() for row in batch][:700]


@each_kind
def test_shards_hold_every_document_once(kind):
    source = Generated(kind, n_documents=3 * LIST_ROWS + 17)
    whole = [json.dumps(row) for batch in source.read() for row in batch]
    parts = [json.dumps(row) for shard in range(4) for batch in source.read(shard, 4) for row in batch]
    assert sorted(parts) == sorted(whole)
    assert len(whole) == source.n_documents


# Change a template: raise VERSION, and write the new sums. SHA-256 of the first 200 rows as JSON.
SUMS = {
    "drills": "60d35e23f233d7ad",
    "problems": "1fc35376076ba53c",
    "facts": "19997f0699ea9a77",
    "questions": "14159803bcd4f4be",
    "dialogue": "1a1e73e8f791340a",
    "chat": "0638b493a2f23c56",
}


@each_kind
def test_the_text_is_the_same_on_every_machine(kind):
    told = "\n".join(json.dumps(row, sort_keys=True) for row in rows(kind, 200))
    assert (VERSION, hashlib.sha256(told.encode()).hexdigest()[:16]) == (1, SUMS[kind])


@each_kind
def test_documents_are_many(kind):
    texts = [json.dumps(row) for row in rows(kind, 2_000)]
    # where all slots are few, as in a request for a list, a text may come again
    assert len(set(texts)) > 0.97 * len(texts)
    assert not [text for text in texts if re.search(r"[{}\[\]|]{2}|  |\bNone\b|\bshe's his\b", text[1:-1])]


def test_what_sft_learns_from_stands_apart():
    for name in ("gen_problems", "gen_questions", "gen_dialogue"):
        corpus = find_corpus(name)
        for document in corpus.documents(200):
            assert document.prompt.endswith("\n") and document.response.strip()
    assert [find_corpus(f"gen_{kind}").role for kind in ("drills", "facts", "chat")] == ["specialised"] * 3
