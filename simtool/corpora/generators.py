"""Text made here: corpora without a network, of any length, the same on every machine.

They are what they are called, generated, and stand in for nothing. Document i is a function of the corpus and
of i alone. To add one, write the function below `generated/` and name it in `GENERATORS`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from simtool.corpora.corpus import document_hash
from simtool.corpora.generated.dice import Dice
from simtool.corpora.generated.drills import drill
from simtool.corpora.generated.problems import problem
from simtool.corpora.generated.talk import chat, dialogue
from simtool.corpora.generated.world import facts, questions
from simtool.corpora.reading import Reading, Row, Source

Kind = Literal["drills", "problems", "facts", "questions", "dialogue", "chat"]
GENERATORS: dict[Kind, Callable[[Dice], str | Row]] = {
    "drills": drill,
    "problems": problem,
    "facts": facts,
    "questions": questions,
    "dialogue": dialogue,
    "chat": chat,
}
LIST_ROWS = 500
N_DOCUMENTS = 1_000_000
VERSION = 1  # a new one where any template changes: cached profiles and stores of the old text then are not found


@dataclass(frozen=True)
class Generated(Source):
    """Documents 0 .. n_documents - 1 of one kind. The number is a stop for readers that read to the end, and no
    more than that: raised, the first documents stay what they were."""

    kind: Kind
    n_documents: int = N_DOCUMENTS

    def describe(self) -> str:
        part = f", first {self.n_documents:,} documents" if self.n_documents < N_DOCUMENTS else ""
        return f"generated here ({self.kind}, version {VERSION}{part})"

    def identity(self) -> str:
        return f"generated:{self.kind}:{VERSION}:{self.n_documents}"

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        make, seed = GENERATORS[self.kind], self._seed()
        for first in range(shard * LIST_ROWS, self.n_documents, n_shards * LIST_ROWS):
            last = min(first + LIST_ROWS, self.n_documents)
            rows = [make(Dice(seed + i)) for i in range(first, last)]
            if reading:
                reading.fraction = last / self.n_documents
            yield [{"text": row} if isinstance(row, str) else row for row in rows]

    def _seed(self) -> int:
        """Of document 0. By the kind's name, and with room for every document below the next kind's."""
        return document_hash(self.kind.encode()) << 40
