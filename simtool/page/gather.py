"""Everything a report shows, measured: matrices, what makes each pair differ, advantages, curves, a mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import Role
from simtool.corpora.spec import parse_spec
from simtool.errors import SimtoolError
from simtool.mixing.advice import Advice, advise
from simtool.mixing.constraints import Constraints
from simtool.mixture import Mixture, as_mixtures, midtraining_mixtures, parse_midtraining, parse_mixture
from simtool.page.examples import Excerpts, excerpts_of
from simtool.page.study import StudyTables, load_study
from simtool.page.sweep import SweepTables, load_sweep_tables
from simtool.prediction.advantage import Advantage, advantage
from simtool.prediction.curve import Curve, curve
from simtool.prediction.predictors import AUTO
from simtool.profiles.features import find_feature
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, ResolvedProfile, find_profiles, own_entries, provenance_of
from simtool.similarity.attribution import Difference, difference, shares_once
from simtool.similarity.duplicates import pairs_above_ceiling
from simtool.similarity.matrix import RESAMPLES, SimilarityMatrix, similarity_matrix
from simtool.similarity.metrics import find_metric
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens
from simtool.wording import plural, readable

# METRIC.FEATURE; the first is shown first, and answers how alike the texts are whatever the size of the samples
VIEWS = ("size_free.token", "token.token", "js.token", "js.skeleton3", "kl.token2")
VIEW_TITLES = {
    "size_free.token": "How alike (size-free)",
    "token.token": "Paper score",
    "js.token": "Vocabulary",
    "js.skeleton3": "Syntax",
    "kl.token2": "Coverage (row to column)",
}
FEATURES = ("token", "token2", "skeleton3")  # a pair's difference is taken apart on these
N_GRAMS = 8  # a side of each pair and feature: with 16 corpora 0.6 MB
SHARE = 0.2  # of a specialised corpus, where --mid does not say: the paper's most frequent one (table 1)
MIN_SHARE = 0.5  # of the pretraining corpus in the recommended mixture
SHARES = tuple(i / 10 for i in range(11))  # of a curve
MAP_RESAMPLES = 20  # of distances that are drawn without an interval
COSTLY_RESAMPLES = 100  # of curves, many mixtures each, and of the mixture, which each of them solves again


@dataclass(frozen=True)
class Gram:
    """An n-gram's part of a pair's divergence: bits, and how often a million symbols of each corpus have it.

    entry   the column of its feature
    """

    entry: int
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

    matrices   one per view, all of the same corpora in the same order
    distances  Hellinger, on tokens, for the map
    pairs      {(i, j): one difference per feature}, i < j, places in `corpora`
    examples   {place in `corpora`: excerpts of the documents behind its n-grams}, None where no text is at hand
    """

    corpora: tuple[str, ...]
    facts: Mapping[str, Mapping[str, Any]]
    matrices: tuple[SimilarityMatrix, ...]
    distances: SimilarityMatrix
    pairs: Mapping[tuple[int, int], tuple[PairDifference, ...]]
    examples: Mapping[int, Excerpts | None]
    advantage: Advantage | None
    curves: tuple[Curve, ...]
    advice: Advice | None
    study: StudyTables | None
    sweep: SweepTables | None
    left_out: Mapping[str, str]
    tokenizer: str
    resamples: int
    seed: int


@dataclass(frozen=True)
class Roles:
    """What a model is pretrained on, what may be mixed in ("math:0.2"), and what it is to get better at."""

    pretrain: str | None
    mid: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def missing(self) -> str | None:
        """Why nothing can be recommended; None where it can."""
        if self.pretrain is None:
            return "No general corpus is among these. Name what the model is pretrained on: --pretrain."
        if not self.mid:
            return "No specialised corpus is among these. Name one with its share: --mid starcoder:0.2."
        if not self.targets:
            return "No SFT set is among these. Name what the model is to get better at: --target."
        return None


def gather(
    corpora: Sequence[str],
    pretrain: str | None = None,
    mid: Sequence[str] = (),
    targets: Sequence[str] = (),
    study: Path | None = None,
    sweep: Path | None = None,
    views: Sequence[str] = VIEWS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
    examples: int = 0,
) -> Findings:
    """Measure all of it. Roles that are not given follow from the corpora, see `roles`."""
    options = options or Options()
    if len(corpora) < 2:
        raise SimtoolError(f"A report compares two corpora or more. Got {', '.join(corpora) or 'none'}.")
    if repeated := sorted({name for name in corpora if list(corpora).count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every corpus once.")
    # first: a wrong path must not cost minutes
    tables = load_study(study) if study is not None else None
    proxy_runs = load_sweep_tables(sweep) if sweep is not None else None
    measures = [parse_view(view) for view in views]
    parts = roles(corpora, pretrain, mid, targets, options)
    resolved = _resolve(corpora, parts, measures, options)
    profiles = {name: profile.profile for name, profile in resolved.items()}
    mixtures = {name: parse_mixture(name) for name in corpora}
    if not parts.missing:
        options.report(f"Measuring advantages for {plural(len(parts.targets), 'target')}, and the best mixture.")
    closer, curves, advice, left_out = _recommend(profiles, parts, resamples, seed)
    options.report(f"Comparing {len(corpora)} corpora by {plural(len(measures), 'measure')}, pair by pair.")
    pairs = pair_differences(corpora, profiles, options)
    matrices = [
        similarity_matrix(profiles, mixtures, metric, feature, None, resamples, seed) for metric, feature in measures
    ]
    # a size-free similarity has no noise ceilings to lie above
    shared = next((pairs_above_ceiling(matrix, options) for matrix in matrices if not matrix.metric.by_ceilings), [])
    matrices[0] = replace(matrices[0], facts={"above_ceiling": shared})
    return Findings(
        corpora=tuple(corpora),
        facts=provenance_of(resolved)["corpora"],
        matrices=tuple(matrices),
        distances=similarity_matrix(profiles, mixtures, "hellinger", "token", None, MAP_RESAMPLES, seed),
        pairs=pairs,
        examples=_examples(corpora, pairs, examples, options) if examples else {},
        advantage=closer,
        curves=curves,
        advice=advice,
        study=tables,
        sweep=proxy_runs,
        left_out=left_out,
        tokenizer=options.tokenizer,
        resamples=resamples,
        seed=seed,
    )


def _recommend(
    profiles: Mapping[str, Profile], parts: Roles, resamples: int, seed: int
) -> tuple[Advantage | None, tuple[Curve, ...], Advice | None, dict[str, str]]:
    """Advantages, curves and a mixture; what of them is left out, and why."""
    if parts.missing or parts.pretrain is None:
        reason = parts.missing or ""
        return None, (), None, {"advantage": reason, "mixture": reason}
    pretrain, fewer = parse_mixture(parts.pretrain), min(resamples, COSTLY_RESAMPLES)
    mixtures = midtraining_mixtures(pretrain, parts.mid)
    closer = advantage(profiles, pretrain, mixtures, parts.targets, *AUTO, None, resamples, seed)
    specials = special_corpora(pretrain, mixtures)
    curves = tuple(
        curve(profiles, pretrain, parse_mixture(name), parts.targets, *AUTO, SHARES, resamples=fewer, seed=seed)
        for name in specials
    )
    if len(pretrain.weights) > 1:
        return closer, curves, None, {"mixture": "A mixture is recommended where --pretrain is one corpus."}
    if not specials:
        return closer, curves, None, {"mixture": "There is nothing to mix in."}
    constraints = Constraints(min_share={parts.pretrain: MIN_SHARE})
    weights = dict.fromkeys(parts.targets, 1.0)
    advice = advise(profiles, parts.pretrain, specials, weights, constraints, resamples=fewer, seed=seed)
    return closer, curves, advice, {}


def parse_view(text: str) -> tuple[str, str]:
    """("js", "skeleton3") of "js.skeleton3"; a metric by itself is on its own feature."""
    metric, _, feature = text.partition(".")
    feature = feature or find_metric(metric).feature
    find_metric(metric)
    for name in feature.split("+"):
        find_feature(name)
    return metric, feature


def roles(
    corpora: Sequence[str], pretrain: str | None, mid: Sequence[str], targets: Sequence[str], options: Options
) -> Roles:
    """What is not given follows from `role_of`: the first general corpus, each specialised one at SHARE, all SFT
    sets."""

    def of(role: Role, *others: str) -> list[str]:
        return [name for name in corpora if role_of(name, options) == role and name not in others]

    general = pretrain or next(iter(of("general")), None)
    base = parse_mixture(general).weights if general else {}
    goals = tuple(targets or of("sft", *base))
    mixtures = mid or [f"{name}:{SHARE}" for name in of("specialised", *base, *goals)]
    return Roles(general, tuple(mixtures), goals)


def role_of(name: str, options: Options) -> Role | None:
    """What the catalogue or the corpora file says; any other text of one's own is specialised. A mixture has none."""
    if len(parse_mixture(name).weights) > 1:
        return None
    location = parse_spec(name).location
    known = options.corpora.get(name) or own_entries(options).get(location) or CATALOGUE.get(location)
    return known.role if known else "specialised"


def special_corpora(pretrain: Mixture, mixtures: Mapping[str, Mixture]) -> list[str]:
    """The corpora that the mixtures add to the pretraining corpus, each once."""
    names = dict.fromkeys(name for mixture in mixtures.values() for name in mixture.weights)
    return [name for name in names if name not in pretrain.weights]


def _resolve(
    corpora: Sequence[str], parts: Roles, measures: Sequence[tuple[str, str]], options: Options
) -> dict[str, ResolvedProfile]:
    """All profiles with all features that are needed, so that no text and no file is read twice."""
    features = [*FEATURES, *(name for _, feature in measures for name in feature.split("+"))]
    mixtures = {name: parse_mixture(name) for name in corpora}
    if parts.pretrain is not None:
        mixtures[parts.pretrain] = pretrain = parse_mixture(parts.pretrain)
        mixtures |= {text: parse_midtraining(text, pretrain) for text in parts.mid} | as_mixtures(parts.targets)
        features += [*AUTO[1].split("+"), "token"]
    return find_profiles(mixtures, list(dict.fromkeys(features)), options)


def pair_differences(
    corpora: Sequence[str], profiles: Mapping[str, Profile], options: Options
) -> dict[tuple[int, int], tuple[PairDifference, ...]]:
    """What makes each pair of corpora differ, on each of FEATURES."""
    text_of, _ = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    text_of = cache(text_of) if text_of else None  # a vocabulary is spelt once, and not once per pair
    weights = [parse_mixture(name).weights for name in corpora]
    pairs = list(combinations(range(len(corpora)), 2))

    def of_feature(name: str) -> list[PairDifference]:
        once = shares_once()
        return [_pair_difference(difference(profiles, weights[i], weights[j], name, text_of, once)) for i, j in pairs]

    return dict(zip(pairs, zip(*map(of_feature, FEATURES), strict=True), strict=True))


def _examples(
    corpora: Sequence[str], pairs: Mapping[tuple[int, int], Sequence[PairDifference]], n: int, options: Options
) -> dict[int, Excerpts | None]:
    """Excerpts behind the n-grams that a corpus has more of than another."""
    entries: dict[int, dict[str, list[int]]] = {k: {name: [] for name in FEATURES} for k in range(len(corpora))}
    for (i, j), parts in pairs.items():
        for part in parts:
            entries[i][part.feature] += [gram.entry for gram in part.more_in_a]
            entries[j][part.feature] += [gram.entry for gram in part.more_in_b]
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    return {k: excerpts_of(corpora[k], entries[k], n, options, tokenizer) for k in entries}


def _pair_difference(whole: Difference) -> PairDifference:
    def side(name: str) -> tuple[Gram, ...]:
        return tuple(
            Gram(
                int(entry),
                readable(whole.names.get(int(entry))),
                float(whole.bits[entry]),
                float(whole.share_a[entry] * 1e6),
                float(whole.share_b[entry] * 1e6),
            )
            for entry in whole.largest(name, N_GRAMS)
        )

    return PairDifference(whole.feature, whole.total, side("a"), side("b"))
