"""The page's sentences: results and labels put into those of `wording`."""

from collections.abc import Mapping, Sequence

from simtool import wording
from simtool.mixing.recommend import Recommendation
from simtool.prediction.advantage import Advantage
from simtool.prediction.curve import Curve
from simtool.profiles.features import symbol_of
from simtool.similarity.matrix import SimilarityMatrix
from simtool.similarity.metrics import METRICS
from simtool.wording import listed, number

Names = Mapping[str, str]  # what a corpus is called on the page, by its full name


def cell(matrix: SimilarityMatrix, i: int, j: int, names: Sequence[str]) -> str:
    """A cell of the matrix."""
    value, low, high = (array[i, j] for array in (matrix.values, matrix.low, matrix.high))
    if i == j and matrix.metric.by_ceilings:
        return wording.with_itself(names[i])
    if i == j:
        return wording.ceiling(names[i], value, low, high, matrix.metric.alike)
    text = f"{value:.3f} (95%: {low:.3f} to {high:.3f})"
    meaning = wording.in_symbols(matrix.metric.meaning, symbol_of(matrix.feature))
    meaning = meaning.format(a=names[i], b=names[j], value=text, metric=matrix.metric.name)
    sure = not matrix.at_ceiling[i, j] if matrix.is_tested[i, j] else None
    return wording.similarity(meaning, sure, (matrix.ceiling[i] + matrix.ceiling[j]) / 2)


def advantage(result: Advantage, mixture: str, target: str, names: Names) -> str:
    """How much closer a mixture is to a target, and how sure that is."""
    i, j = list(result.mixtures).index(mixture), result.targets.index(target)
    value = result.value[i, j]
    share = result.share_positive[i, j] if value > 0 else 1 - result.share_positive[i, j]
    gain = METRICS[result.metric].gain
    return wording.advantage(
        gain and wording.in_symbols(gain, symbol_of(result.feature)),
        names.get(mixture, mixture),
        pretrain_name(result, names),
        names.get(target, target),
        *(value, result.low[i, j], result.high[i, j]),
        f"{share * result.resamples:.0f} of {result.resamples}",
    )


def standing(result: Advantage, mixture: str, target: str, names: Names) -> str:
    """From which other mixtures it is distinguishable."""
    distinguishable = result.distinguishable_from(mixture, target)
    alike = [names.get(name, name) for name in result.mixtures if name not in (mixture, *distinguishable)]
    return wording.standing(len(result.mixtures) - 1, alike)


def best_for(result: Advantage, target: str, names: Names) -> str:
    """One sentence per target: the mixture that brings it closest, and how sure that is."""
    j, mixtures = result.targets.index(target), list(result.mixtures)
    best = mixtures[int(result.value[:, j].argmax())]
    return f"{advantage(result, best, target, names)} {standing(result, best, target, names)}".strip()


def pretrain_name(result: Advantage | Curve, names: Names) -> str:
    return _mixture_name(result.pretrain.weights, str(result.pretrain), names)


def special_name(curve: Curve, names: Names) -> str:
    return _mixture_name(curve.special.weights, str(curve.special), names)


def _mixture_name(weights: Mapping[str, float], text: str, names: Names) -> str:
    corpus = next(iter(weights))
    return names.get(corpus, corpus) if len(weights) == 1 else text


def headline(
    result: Advantage | None, matrix: SimilarityMatrix, names: Sequence[str], called: Names
) -> tuple[str, str]:
    """What the text says in one sentence, and what is less certain in a second one."""
    if result is None:
        return matrix_headline(matrix, names), ""
    clear: dict[str, list[str]] = {}
    unclear, none = [], []
    for j, target in enumerate(result.targets):
        i = int(result.value[:, j].argmax())
        best, goal = list(result.mixtures)[i], called.get(target, target)
        if not result.low[i, j] > 0:
            none.append(goal)
        elif len(result.distinguishable_from(best, target)) == len(result.mixtures) - 1:
            clear.setdefault(called.get(best, best), []).append(goal)
        else:
            unclear.append(goal)
    first = [f"{mixture} to {listed(goals)}" for mixture, goals in clear.items()]
    less = []
    if unclear:
        less.append(f"For {listed(unclear)} the closest mixture is not significantly better than the next.")
    if none:
        less.append(f"For {listed(none)} no mixture is significantly closer.")
    if first:
        return f"Closest in text: {', '.join(first)}.", " ".join(less)
    return (less[0], " ".join(less[1:])) if less else (matrix_headline(matrix, names), "")


def matrix_headline(matrix: SimilarityMatrix, names: Sequence[str]) -> str:
    """The most and the least similar pair."""
    n = len(names)
    values = matrix.values if matrix.metric.alike == "high" else -matrix.values
    pairs = sorted(((values[i, j], i, j) for i in range(n) for j in range(n) if i != j), reverse=True)
    (_, a, b), (_, c, d) = pairs[0], pairs[-1]
    if n == 2:
        ceiling = matrix.ceiling.mean()
        if not matrix.is_tested[a, b]:
            return f"{names[a]} and {names[b]} score {matrix.values[a, b]:.3f}, two samples of one text {ceiling:.3f}."
        same = matrix.at_ceiling[a, b]
        return f"{names[a]} and {names[b]} are {'not distinguishable' if same else 'distinguishable'} as text."
    return f"{names[a]} and {names[b]} are the most similar, {names[c]} and {names[d]} the least."


def peak(curve: Curve, target: str, names: Names) -> str:
    """Where the advantage of a special corpus is largest."""
    j = curve.targets.index(target)
    shares = (curve.peak[j], curve.peak_low[j], curve.peak_high[j])
    return wording.peak(names.get(target, target), special_name(curve, names), *shares)


def share(best: Recommendation, i: int, names: Names) -> str:
    """One corpus's share of the recommended mixture."""
    corpus = best.corpora[i]
    minimum = best.constraints.min_share.get(corpus, 0.0)
    numbers = (best.weights[i], best.low[i], best.high[i])
    return wording.share(names.get(corpus, corpus), *numbers, corpus in best.dropped, i == 0, minimum)


def gain(best: Recommendation, t: int, names: Names) -> str:
    """What the recommended mixture gains on a target."""
    target, pretrain = best.targets[t], best.corpora[0]
    numbers = (best.gain[t], best.gain_low[t], best.gain_high[t], best.max_gain[t])
    return wording.gain(names.get(target, target), names.get(pretrain, pretrain), *numbers, symbol_of(best.feature))


def coding_cost(best: Recommendation, names: Names) -> str:
    """What the recommended mixture costs on general text."""
    pretrain = best.corpora[0]
    numbers = (best.forgetting, best.forgetting_low, best.forgetting_high)
    return wording.coding_cost(names.get(pretrain, pretrain), *numbers, symbol_of(best.feature))


def recommended(best: Recommendation, names: Names) -> str:
    """The mixture in one sentence."""
    parts = [
        f"{weight:.0%} {names.get(name, name)}"
        for name, weight in sorted(zip(best.corpora, best.weights, strict=True), key=lambda part: -part[1])
        if weight >= 0.005
    ]
    pretrain = best.corpora[0]
    minimum = best.constraints.min_share.get(pretrain, 0.0)
    return f"For all targets, with at least {minimum:.0%} {names.get(pretrain, pretrain)}: {listed(parts)}."


# --- Studies ---


def effect(row: Mapping[str, object]) -> str:
    """What training with an arm did to a target, against its control."""
    value, low, high, p = (number(row.get(key)) for key in ("relative_improvement", "low", "high", "p_holm"))
    seeds = wording.plural(int(row["n_seeds"]), "seed")
    clause = f"{row['arm']} {wording.effect(str(row['target']), value, low, high, p)} ({seeds})."
    not_significant = low is not None and high is not None and low <= 0 <= high
    detectable = wording.detectable(number(row.get("minimum_detectable"))) if not_significant else ""
    return f"{clause} {detectable[:1].upper()}{detectable[1:]}." if detectable else clause


def agreement(row: Mapping[str, object]) -> str:
    """How a predictor's ranking agrees with what training gave."""
    value, low, high, p = (number(row.get(key)) for key in ("spearman", "spearman_low", "spearman_high", "p"))
    predictor = wording.predictor_name(str(row["predictor"]))
    sentence = wording.agreement(predictor, "Spearman's ρ", value, low, high, int(row["n"]), p)
    without = f", without {row['left_out']}" if row.get("left_out") else ""
    return f"{sentence[0].upper()}{sentence[1:]}{without}."
