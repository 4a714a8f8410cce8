"""A mixture that is to be handed on, and what its forms ask for: where its corpora lie, how many rows, a sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simtool.errors import SimtoolError
from simtool.exports.ingredients import Ingredient, Length, document_lengths, find_ingredients
from simtool.exports.sample import Sample, check_passes, draw_sample
from simtool.mixture import Mixture
from simtool.profiles.resolve import Options
from simtool.version import __version__


@dataclass(frozen=True)
class ExportRequest:
    """A mixture to be handed on.

    tokens   of the sample, or of the run; None: not said
    basis    what the mixture rests on, and its hash: {"kind": "recommendation", "content_sha256": ...}
    folder   where tokenized files are to lie, as the trainer is to name it
    """

    mixture: Mixture
    tokens: int | None = None
    seed: int = 0
    max_epochs: float = 4.0
    options: Options = field(default_factory=Options)
    basis: Mapping[str, Any] = field(default_factory=dict)
    folder: str = "data"

    @cached_property
    def ingredients(self) -> tuple[Ingredient, ...]:
        return find_ingredients(self.mixture, self.options)

    @cached_property
    def sample(self) -> Sample:
        return draw_sample(self.mixture, self.needed_tokens, self.seed, self.options, self.max_epochs)

    @property
    def needed_tokens(self) -> int:
        if self.tokens is None:
            raise SimtoolError("How many tokens? Say so: --tokens 10M.")
        return self.tokens

    @cached_property
    def lengths(self) -> Mapping[str, Length]:
        return document_lengths(self.ingredients, self.options)

    @cached_property
    def row_shares(self) -> list[float]:
        """The share of the rows that each ingredient has where its share of the tokens is as it should be."""
        rows = [part.share / self.lengths[part.corpus.name].tokens for part in self.ingredients]
        return [n / sum(rows) for n in rows]

    def n_rows(self, part: Ingredient) -> list[int]:
        """How many rows of an ingredient come to its share of the tokens, pass by pass over its text.

        Raises
        ------
        SimtoolError
            Where these are more passes than `max_epochs`.
        """
        length = self.lengths[part.corpus.name]
        needed = max(1, round(part.share * self.needed_tokens / length.tokens))
        available = length.documents if part.files and length.is_whole else needed
        check_passes(part.name, available * length.tokens, needed * length.tokens, self.max_epochs)
        passes, rest = divmod(needed, available)
        return [available] * passes + ([rest] if rest else [])

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance without the time of day: the same request has the same bytes."""
        licences = {part.name: part.corpus.licence for part in self.ingredients}
        return {
            "simtool": __version__,
            "mixture": dict(self.mixture.weights),
            "shares": "of tokens",
            "basis": dict(self.basis),
            "tokens": self.tokens,
            "seed": self.seed,
            "tokenizer": self.options.tokenizer,
            "corpora": {part.name: {"source": part.where, "licence": licences[part.name]} for part in self.ingredients},
        }
