"""A corpus of prompts and responses."""

from dataclasses import dataclass

from simtool.corpora.corpus import Corpus, Document, prompt_and_response
from simtool.corpora.reading import Reading, Source


@dataclass(frozen=True)
class Rows(Source):
    rows: tuple

    def read(self, shard: int, n_shards: int, reading: Reading):
        for start in range(0, len(self.rows), 7):
            yield [{"pair": pair} for pair in self.rows[start : start + 7]]

    def describe(self) -> str:
        return "rows of a test"

    def identity(self) -> str:
        return str(hash(self.rows))


def render(row) -> Document:
    return prompt_and_response(*row["pair"])


def corpus_of(*pairs, name: str = "toy") -> Corpus:
    return Corpus(name, "A test.", "sft", "ours", render, {}, Rows(pairs), train_on="response")


PAIRS = [
    (f"What is {a} and {b}?\n", f"It is {a + b}, because {a} and {b} make that.") for a in range(20) for b in range(20)
]
