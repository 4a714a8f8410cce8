"""Everything a report shows, measured: matrices, what makes each pair differ, advantages, curves, a mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from simtool.corpora.catalogue import CATALOGUE
from simtool.errors import SimtoolError
from simtool.mixing.advice import Advice, advise
from simtool.mixing.constraints import Constraints
from simtool.mixture import as_mixtures, midtraining_mixtures, parse_midtraining, parse_mixture
from simtool.page.study import StudyTables, load_study
from simtool.prediction.advantage import Advantage, advantage
from simtool.prediction.curve import Curve, curve
from simtool.prediction.predictors import AUTO
from simtool.profiles.features import find_feature
from simtool.profiles.resolve import Options, ResolvedProfile, find_profiles, provenance_of
from simtool.similarity.attribution import difference
from simtool.similarity.matrix import RESAMPLES, SimilarityMatrix, similarity_matrix
from simtool.similarity.metrics import find_metric
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens
from simtool.wording import readable

VIEWS = ("token.token", "js.token", "js.skeleton3", "kl.token2")  # METRIC.FEATURE; the first is shown first
FEATURES = ("token", "token2", "skeleton3")  # a pair's difference is taken apart on these
N_GRAMS = 8  # a side of each pair and feature: with 16 corpora 0.6 MB
SHARE = 0.2  # of a specialised corpus, where --mid does not say: the paper's most frequent one (table 1)
KEEP = 0.5  # of the pretraining corpus in the recommended mixture
SHARES = tuple(i / 10 for i in range(11))  # of a curve
COSTLY_RESAMPLES = 100  # of curves, many mixtures each, and of the mixture, which each of them solves again


@dataclass(frozen=True)
class Gram:
    """An n-gram's part of a pair's divergence: bits, and how often a million symbols of each corpus have it."""

    ngram: str
    bits: float
    per_million_a: float
    per_million_b: float


@dataclass(frozen=True)
class PairDifference:
    """What makes two corpora differ on a feature: the entries that add most, by the corpus that has more of them."""

    feature: str
    bits: float
    more_in_a: tuple[Gram, ...]
    more_in_b: tuple[Gram, ...]


@dataclass(frozen=True)
class Findings:
    """What a report is made from. What could not be measured is None, and `left_out` says why.

    matrices   one a view, all of the same corpora in the same order
    pairs      {(i, j): a difference a feature}, i < j, places in `corpora`
    """

    corpora: tuple[str, ...]
    facts: Mapping[str, Mapping[str, Any]]
    matrices: tuple[SimilarityMatrix, ...]
    pairs: Mapping[tuple[int, int], tuple[PairDifference, ...]]
    advantage: Advantage | None
    curves: tuple[Curve, ...]
    advice: Advice | None
    study: StudyTables | None
    left_out: Mapping[str, str]
    tokenizer: str
    resamples: int
    seed: int


def gather(
    corpora: Sequence[str],
    pretrain: str | None = None,
    mid: Sequence[str] = (),
    targets: Sequence[str] = (),
    study: Path | None = None,
    views: Sequence[str] = VIEWS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Findings:
    """Measure all of it. Roles that are not given are the catalogue's, see `roles`."""
    options = options or Options()
    if len(corpora) < 2:
        raise SimtoolError(f"A report compares two corpora or more. Got {', '.join(corpora) or 'none'}.")
    if repeated := sorted({name for name in corpora if list(corpora).count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every corpus once.")
    tables = load_study(study) if study is not None else None  # first: a wrong path must not cost minutes
    asked = [parse_view(view) for view in views]
    before, mixtures, goals = roles(corpora, pretrain, mid, targets)
    found = _find_once(corpora, before, mixtures, goals, asked, options)
    profiles = {name: one.profile for name, one in found.items()}
    compared = {name: parse_mixture(name) for name in corpora}
    matrices = tuple(
        similarity_matrix(profiles, compared, metric, feature, None, resamples, seed) for metric, feature in asked
    )
    measured, curves, mixed = None, (), None
    left_out: dict[str, str] = {}
    if before is None:
        left_out["advantage"] = "No general corpus is among these. Name what the model is pretrained on: --pretrain."
    elif not mixtures:
        left_out["advantage"] = "No specialised corpus is among these. Name one with its share: --mid starcoder:0.2."
    elif not goals:
        left_out["advantage"] = "No SFT set is among these. Name what the model is to get better at: --target."
    else:
        origin = parse_mixture(before)
        named = midtraining_mixtures(origin, mixtures)
        measured = advantage(profiles, origin, named, goals, *AUTO, None, resamples, seed)
        specials, fewer = special_corpora(before, mixtures), min(resamples, COSTLY_RESAMPLES)
        curves = tuple(
            curve(
                *(profiles, origin, parse_mixture(name), goals, *AUTO, SHARES),
                resamples=fewer,
                seed=seed,
            )
            for name in specials
        )
        if len(origin.weights) > 1:
            left_out["mixture"] = "A mixture is recommended where --pretrain is one corpus."
        elif specials:
            constraints, weights = Constraints(min_share={before: KEEP}), dict.fromkeys(goals, 1.0)
            question = (profiles, before, specials, weights, constraints)
            mixed = advise(*question, resamples=fewer, seed=seed)
        else:
            left_out["mixture"] = "There is nothing to mix in."
    if "advantage" in left_out:
        left_out["mixture"] = left_out["advantage"]
    return Findings(
        corpora=tuple(corpora),
        facts=provenance_of(found)["corpora"],
        matrices=matrices,
        pairs=pair_differences(corpora, found, options),
        advantage=measured,
        curves=curves,
        advice=mixed,
        study=tables,
        left_out=left_out,
        tokenizer=options.tokenizer,
        resamples=resamples,
        seed=seed,
    )


def parse_view(text: str) -> tuple[str, str]:
    """("js", "skeleton3") of "js.skeleton3"; a metric by itself is on its own feature."""
    metric, _, feature = text.partition(".")
    feature = feature or find_metric(metric).feature
    find_metric(metric)
    for name in feature.split("+"):
        find_feature(name)
    return metric, feature


def roles(
    corpora: Sequence[str], pretrain: str | None, mid: Sequence[str], targets: Sequence[str]
) -> tuple[str | None, list[str], list[str]]:
    """The pretraining corpus, the midtraining mixtures ("math:0.2") and the targets.

    What is not given is read off the catalogue: the first general corpus, each specialised one at SHARE, every SFT set.
    """

    def of(role: str) -> list[str]:
        return [name for name in corpora if name in CATALOGUE and CATALOGUE[name].role == role]

    before = pretrain or next(iter(of("general")), None)
    mixtures = list(mid) or [f"{name}:{SHARE}" for name in of("specialised") if name != before]
    return before, mixtures, list(targets) or [name for name in of("sft") if name != before]


def special_corpora(pretrain: str, mixtures: Sequence[str]) -> list[str]:
    """The corpora that the mixtures add to the pretraining corpus, each once."""
    before = parse_mixture(pretrain)
    named = (name for text in mixtures for name in parse_midtraining(text, before).weights)
    return [name for name in dict.fromkeys(named) if name not in before.weights]


def _find_once(
    corpora: Sequence[str],
    pretrain: str | None,
    mixtures: Sequence[str],
    targets: Sequence[str],
    views: Sequence[tuple[str, str]],
    options: Options,
) -> dict[str, ResolvedProfile]:
    """Every profile with every feature that is needed, so that no text and no file is read twice."""
    features = [*FEATURES, *(part for _, feature in views for part in feature.split("+"))]
    wanted = {name: parse_mixture(name) for name in corpora}
    if pretrain is not None:
        wanted[pretrain] = before = parse_mixture(pretrain)
        wanted |= {text: parse_midtraining(text, before) for text in mixtures} | as_mixtures(targets)
        features += [*AUTO[1].split("+"), "token"]
    return find_profiles(wanted, list(dict.fromkeys(features)), options)


def pair_differences(
    corpora: Sequence[str], found: Mapping[str, ResolvedProfile], options: Options
) -> dict[tuple[int, int], tuple[PairDifference, ...]]:
    profiles = {name: one.profile for name, one in found.items()}
    text_of, _ = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    text_of = cache(text_of) if text_of else None  # a vocabulary is spelt once, and not once a pair
    weights = [parse_mixture(name).weights for name in corpora]
    return {
        (i, j): tuple(_taken_apart(profiles, weights[i], weights[j], feature, text_of) for feature in FEATURES)
        for i, j in combinations(range(len(corpora)), 2)
    }


def _taken_apart(profiles: Any, a: Any, b: Any, feature: str, text_of: Any) -> PairDifference:
    one = difference(profiles, a, b, feature, text_of)

    def side(which: str) -> tuple[Gram, ...]:
        return tuple(
            Gram(
                readable(one.names.get(int(entry))),
                float(one.bits[entry]),
                float(one.share_a[entry] * 1e6),
                float(one.share_b[entry] * 1e6),
            )
            for entry in one.largest(which, N_GRAMS)
        )

    return PairDifference(feature, one.total, side("a"), side("b"))
