"""What lies in memory is read like a file of the same rows, whatever holds it."""

import json

import datasets
import polars as pl
import pyarrow as pa
import pytest

from simtool.corpora.memory import corpus_in_memory
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

TEXTS = [f"text {n}" for n in range(5_000)]
CHAT = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": text}] for text in TEXTS[:3]]
HOLDERS = {
    "list": lambda: TEXTS,
    "iterator": lambda: iter(TEXTS),
    "rows": lambda: [{"text": text} for text in TEXTS],
    "polars": lambda: pl.DataFrame({"text": TEXTS, "n": range(5_000)}),
    "lazy polars": lambda: pl.LazyFrame({"text": TEXTS}),
    "arrow": lambda: pa.table({"text": TEXTS}),
    "dataset": lambda: datasets.Dataset.from_dict({"text": TEXTS}),
    "selected dataset": lambda: datasets.Dataset.from_dict({"text": ["x", *TEXTS]}).select(range(1, 5_001)),
    "streamed dataset": lambda: datasets.Dataset.from_dict({"text": TEXTS}).to_iterable_dataset(),
}


def test_pandas_too():
    pandas = pytest.importorskip("pandas")
    corpus = corpus_in_memory(pandas.DataFrame({"content": TEXTS}), "mine")
    assert [document.text for document in corpus.documents()] == TEXTS


@pytest.mark.parametrize("name", HOLDERS)
def test_every_holder_gives_the_texts_in_order_and_again(name):
    corpus = corpus_in_memory(HOLDERS[name](), "mine")
    for _ in range(2):
        assert [document.text for document in corpus.documents()] == TEXTS
    shards = [[d.text for batch in corpus.batches(shard, 3) for d in batch] for shard in range(3)]
    assert sorted(text for shard in shards for text in shard) == sorted(TEXTS) and all(shards)
    assert corpus.describe() == "5,000 rows in memory"


@pytest.mark.parametrize("name", ["list", "arrow"])
def test_an_identity_follows_the_texts(name):
    def identity(texts):
        held = texts if name == "list" else pa.table({"text": texts})
        return corpus_in_memory(held, "mine").source.identity()

    assert identity(TEXTS) == identity(list(TEXTS)) != identity([*TEXTS[:-1], "another"])


@pytest.mark.parametrize("hold", [list, pl.DataFrame, datasets.Dataset.from_list])
def test_chats_are_read_as_from_a_file(tmp_path, hold):
    rows = [{"messages": turns} for turns in CHAT]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    held, file = corpus_in_memory(hold(rows), "mine"), file_corpus(str(tmp_path / "a.jsonl"))
    assert list(held.documents()) == list(file.documents())
    assert (held.layout, held.train_on) == (file.layout, "response")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "mine holds no rows (int).\nGive a path, or texts, rows (dicts), a frame, an Arrow table"),
        ([1, 2], "mine holds int objects. Give texts, or rows as dicts."),
        (datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": ["x"]})}), "mine has the splits train."),
    ],
)
def test_what_holds_no_rows_is_said(data, message):
    with pytest.raises(SimtoolError) as error:
        corpus_in_memory(data, "mine")
    assert str(error.value).startswith(message)
