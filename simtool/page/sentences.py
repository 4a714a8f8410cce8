"""One plain sentence a number: what it means and how sure it is. Pure functions, so that they can be tested."""

import math
from collections.abc import Mapping, Sequence

from simtool.mixing.recommend import Recommendation
from simtool.page.gather import KEEP
from simtool.prediction.advantage import Advantage
from simtool.prediction.curve import Curve
from simtool.similarity.matrix import SimilarityMatrix

Names = Mapping[str, str]  # what a corpus is called on the page, by its full name


def cell(matrix: SimilarityMatrix, i: int, j: int, names: Sequence[str]) -> str:
    """A cell of the matrix."""
    a, b = names[i], names[j]
    value = f"{matrix.values[i, j]:.3f} (95%: {matrix.low[i, j]:.3f} to {matrix.high[i, j]:.3f})"
    if i == j:
        end = "the most" if matrix.metric.alike == "high" else "the least"
        return f"Two halves of {a} score {value}: {end} that samples of this size can show."
    told = MEANING.get(matrix.metric.name, "{a} and {b} score {value} by {metric}.")
    ceiling = (matrix.ceiling[i] + matrix.ceiling[j]) / 2
    sure = (
        f"They cannot be told from two samples of the same text ({ceiling:.3f})."
        if matrix.at_ceiling[i, j]
        else f"Two samples of the same text score {ceiling:.3f}, so they differ for certain."
    )
    return f"{told.format(a=a, b=b, value=value, metric=matrix.metric.name)} {sure}"


MEANING = {
    "token": "{a} and {b} score {value} of 1 in shared words and how often they are used.",
    "js": "One symbol of text tells {value} bits about whether it is from {a} or {b}.",
    "kl": "Where a symbol of {b} is coded as if it were {a}, it costs {value} bits too many.",
    "cross_entropy": "A symbol of {b} costs {value} bits under a model of {a}.",
    "overlap": "A share of {value} of the symbols of {a} could be swapped for symbols of {b}.",
    "hellinger": "{a} and {b} lie {value} apart, of 1 at most.",
}


def advantage(result: Advantage, mixture: str, target: str, names: Names) -> str:
    """How much closer a mixture is to a target, and how sure that is."""
    i, j = list(result.mixtures).index(mixture), result.targets.index(target)
    value, low, high = result.value[i, j], result.low[i, j], result.high[i, j]
    who, goal, before = names.get(mixture, mixture), names.get(target, target), pretrain_name(result, names)
    interval = f"95%: {low:+.2f} to {high:+.2f}"
    if not low <= high:
        return f"{who} brings {goal} {value:+.2f} closer than {before} does; no interval is known."
    if low <= 0 <= high:
        return f"{who} cannot be told from {before} for {goal} ({value:+.2f}; {interval})."
    far, more = ("closer to", "less") if value > 0 else ("farther from", "more")
    what = (
        f"a symbol of {goal} costs {abs(value):.2f} bits {more} with {who} than under {before}"
        if result.metric == "cross_entropy"
        else f"{who} is {abs(value):.3g} {far} {goal} than {before} is"
    )
    share = result.share_positive[i, j] if value > 0 else 1 - result.share_positive[i, j]
    agree = f"{share * result.resamples:.0f} of {result.resamples} half-splits agree"
    return f"{what[0].upper()}{what[1:]} ({interval}; {agree})."


def standing(result: Advantage, mixture: str, target: str, names: Names) -> str:
    """Which other mixtures it can be told from."""
    apart, others = result.distinguishable_from(mixture, target), len(result.mixtures) - 1
    if others == 0:
        return ""
    if len(apart) == others:
        return "It can be told from every other mixture." if others > 1 else "It can be told from the other mixture."
    unclear = [names.get(one, one) for one in result.mixtures if one != mixture and one not in apart]
    return f"It cannot be told from {listed(unclear)}."


def pretrain_name(result: Advantage | Curve, names: Names) -> str:
    weights = result.pretrain.weights
    return names.get(only, only) if (only := next(iter(weights))) and len(weights) == 1 else str(result.pretrain)


def headline(
    result: Advantage | None, matrix: SimilarityMatrix, names: Sequence[str], called: Names
) -> tuple[str, str]:
    """The main finding in one sentence, and what is less certain in a second one."""
    if result is None:
        return matrix_headline(matrix, names), ""
    clear: dict[str, list[str]] = {}
    unclear, none = [], []
    for j, target in enumerate(result.targets):
        best = list(result.mixtures)[int(result.value[:, j].argmax())]
        goal = called.get(target, target)
        if not result.low[list(result.mixtures).index(best), j] > 0:
            none.append(goal)
        elif len(result.distinguishable_from(best, target)) == len(result.mixtures) - 1:
            clear.setdefault(called.get(best, best), []).append(goal)
        else:
            unclear.append(goal)
    first = [f"{mixture} for {listed(goals)}" for mixture, goals in clear.items()]
    less = []
    if unclear:
        less.append(f"For {listed(unclear)} several mixtures help, and the best cannot be told from the next.")
    if none:
        less.append(f"For {listed(none)} no mixture brings certain gain.")
    if first:
        return f"Mix in {', and '.join(first)}.", " ".join(less)
    return (less[0], " ".join(less[1:])) if less else (matrix_headline(matrix, names), "")


def matrix_headline(matrix: SimilarityMatrix, names: Sequence[str]) -> str:
    n = len(names)
    values = matrix.values if matrix.metric.alike == "high" else -matrix.values
    pairs = sorted(((values[i, j], i, j) for i in range(n) for j in range(n) if i != j), reverse=True)
    (_, a, b), (_, c, d) = pairs[0], pairs[-1]
    if n == 2:
        return f"{names[a]} and {names[b]} " + (
            "cannot be told apart." if matrix.at_ceiling[a, b] else "are clearly different text."
        )
    return f"{names[a]} and {names[b]} are the most alike, {names[c]} and {names[d]} the least."


def peak(curve: Curve, target: str, names: Names) -> str:
    """Where the advantage of a special corpus is largest."""
    j = curve.targets.index(target)
    goal, special = names.get(target, target), special_name(curve, names)
    at, low, high = curve.peak[j], curve.peak_low[j], curve.peak_high[j]
    if at == 0:
        return f"{goal}: no share of {special} brings it closer."
    between = "in 95% of half-splits" if low == high else f"95% of half-splits: {low:.0%} to {high:.0%}"
    return f"{goal}: closest at {at:.0%} {special} ({between})."


def special_name(curve: Curve, names: Names) -> str:
    weights = curve.special.weights
    return names.get(only, only) if (only := next(iter(weights))) and len(weights) == 1 else str(curve.special)


def share(best: Recommendation, i: int, names: Names) -> str:
    """One corpus's share of the recommended mixture."""
    name = names.get(best.corpora[i], best.corpora[i])
    value, low, high = best.weights[i], best.low[i], best.high[i]
    if i == 0:
        floor = best.constraints.min_share.get(best.corpora[0], 0.0)
        kept = " That is the least that was asked for." if value - floor < 1e-6 and floor else ""
        return f"{value:.1%} stays {name} (95%: {low:.1%} to {high:.1%}).{kept}"
    if value < 0.0005:
        return f"No {name}: it helps these targets less than the others do (95%: {low:.1%} to {high:.1%})."
    sure = "" if best.above_zero[i] else ", which cannot be told from none"
    return f"{value:.1%} {name} (95%: {low:.1%} to {high:.1%}){sure}."


def gain(best: Recommendation, t: int, names: Names) -> str:
    """What the recommended mixture gains on a target."""
    target, before = best.targets[t], best.corpora[0]
    value, low, high = best.gain[t], best.gain_low[t], best.gain_high[t]
    part = f", {value / best.max_gain[t]:.0%} of what its own text would gain" if best.max_gain[t] > value > 0 else ""
    sure = f"95% of the gain: {low:+.2f} to {high:+.2f}" + ("; this may be chance" if low <= 0 <= high else "")
    return (
        f"A symbol of {names.get(target, target)} costs {abs(value):.2f} bits {'less' if value > 0 else 'more'} than"
        f" under {names.get(before, before)} alone ({sure}){part}."
    )


def forgetting(best: Recommendation, names: Names) -> str:
    before = names.get(best.corpora[0], best.corpora[0])
    return (
        f"The price: text like {before} is predicted to cost {best.forgetting:.2f} bits a symbol more"
        f" (95%: {best.forgetting_low:.2f} to {best.forgetting_high:.2f})."
    )


def recommended(best: Recommendation, names: Names) -> str:
    """The mixture in one sentence."""
    parts = [
        f"{weight:.0%} {names.get(name, name)}"
        for name, weight in sorted(zip(best.corpora, best.weights, strict=True), key=lambda one: -one[1])
        if weight >= 0.005
    ]
    before = names.get(best.corpora[0], best.corpora[0])
    return f"For all targets alike, with at least {KEEP:.0%} {before} kept: {listed(parts)}."


# --- Studies ---


def effect(row: Mapping[str, object]) -> str:
    """What training with an arm did to a target, against its control."""
    arm, target = row["arm"], row["target"]
    value, low, high = (number(row.get(key)) for key in ("relative_improvement", "low", "high"))
    if value is None:
        return f"{arm} on {target}: not measured."
    seeds = f"{row['n_seeds']} seed{'' if row['n_seeds'] == 1 else 's'}"
    if low is None or high is None:
        return f"{arm} changed the loss on {target} by {-value:+.2%}; no interval is known ({seeds})."
    told = f"95%: {low:+.2%} to {high:+.2%}, {seeds}"
    if low <= 0 <= high:
        least = number(row.get("minimum_detectable"))
        could = f" Less than {least:.2%} could not have been seen." if least is not None else ""
        return f"{arm} cannot be told from control on {target} ({value:+.2%}; {told}).{could}"
    p = number(row.get("p_holm"))
    unless = ", not significant after Holm's correction" if p is not None and p > 0.05 else ""
    return f"{arm} {'lowers' if value > 0 else 'raises'} the loss on {target} by {abs(value):.2%} ({told}){unless}."


def agreement(row: Mapping[str, object]) -> str:
    """How a predictor's ranking agrees with what training gave."""
    value, low, high = (number(row.get(key)) for key in ("spearman", "spearman_low", "spearman_high"))
    whole = "on all pairs" if not row.get("left_out") else f"without {row['left_out']}"
    if value is None:
        return f"{row['predictor']} {whole}: not measured."
    if low is None or high is None:
        return f"{row['predictor']} {whole}: rank correlation {value:+.2f}, interval not known, {row['n']} pairs."
    sure = "it orders them better than chance" if low > 0 else "that cannot be told from chance"
    if high < 0:
        sure = "it orders them worse than chance"
    return f"{row['predictor']} {whole}: rank correlation {value:+.2f} (95%: {low:+.2f} to {high:+.2f}); {sure}."


def number(value: object) -> float | None:
    """A cell of a table as a number; None where there is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
