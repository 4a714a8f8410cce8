"""Every sentence that says what a number means, once: for the terminal, the page and a study's conclusions.

To add one, write a function of numbers and names that gives a sentence; who shows it marks it up. Numbers are in the
units that the parameters name; an interval is at 95%, and None or NaN where it is not known.
"""

import math
import re
from collections.abc import Mapping, Sequence

PROXY = "*"  # after the name of a corpus that other text of its kind is used for
ABOVE = "↑"  # before a similarity above the noise ceiling
INDISTINGUISHABLE = "≈"  # before a similarity that is not distinguishable from the noise ceiling
UNKNOWN = "not known"
UNKNOWN_NOISE = "What the noise of the outcomes would leave of a perfect prediction is not known: it needs two seeds"
SIGNIFICANT = 0.05  # of p after Holm's correction
SMALL_SAMPLE = 10_000  # tokens of each corpus: below, two samples of one text score far from what they are (README)
LITTLE_LEFT = 0.5  # of the pretraining corpus in a mixture: below, what is forgotten is worth a warning

CEILING = (
    f"Diagonal: noise ceiling (split-half), one half of a corpus against its other half."
    f" {INDISTINGUISHABLE}: not distinguishable from it (tested where both have equally many documents)."
)
SIZE_FREE = (
    "Diagonal: 1, as each cell is divided by the geometric mean of its two noise ceilings (half against half). So it"
    f" hardly depends on the sizes of the samples. {INDISTINGUISHABLE}: not distinguishable from 1."
)
PAIRED = "positive: the mixture is closer to the target than the pretraining corpus is"
PLACEBO = (
    "Compared at equal documents: placebo is what as many held-out documents of the pretraining corpus bring by"
    " themselves; it is not in the advantage."
)
OTHER_MEASURE = "Where the advantage, by exposure on skeleton3, is largest:"
TEXT_ONLY = "From text similarity only; not yet tested by training."
NOT_TRAINING = (
    "These numbers compare text; they do not say what training will do. On the published results of arXiv:2510.14865"
    " no predictor is shown to do better than the same-domain baseline, the guess that code helps code and mathematics"
    " helps mathematics. A study measures it: simtool train-eval."
)
SAMPLING = "Intervals cover which documents happened to be sampled, not how the corpora were collected."


# --- Numbers and names ---


def number(value: object) -> float | None:
    """A cell of a table as a number; None where it has none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def rounded(value: float, digits: int = 3, signed: bool = False) -> str:
    """So many significant digits, never in powers of ten: 0.470, 12.6, +4.98, 1,234."""
    if not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = max(digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}")))), 0)
    return f"{value:{'+' if signed else ''},.{decimals}f}"


def interval(low: float | None, high: float | None, digits: int = 2, signed: bool = False, unit: str = "") -> str:
    """ "[0.46, 0.47]"; digits are those after the point."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return f"[{UNKNOWN}]"
    sign = "+" if signed else ""
    return f"[{low:{sign},.{digits}f}{unit}, {high:{sign},.{digits}f}{unit}]"


def p_value(p: float | None) -> str:
    """A p, no smaller than 0.001."""
    return UNKNOWN if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def shortened(names: Sequence[str], most: int = 5) -> str:
    """ "a, b, c, d, e and 7 more"."""
    more = len(names) - most
    return listed(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def readable(ngram: str | None) -> str:
    """An n-gram as people can read it, white space made visible."""
    if ngram is None:
        return "(a bucket of rarer n-grams)"
    for sign, shown in (("\n", "⏎"), ("\t", "⇥")):
        ngram = ngram.replace(sign, shown)
    return ngram if ngram == ngram.strip() else ngram.replace(" ", "␣")


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """A text whose control characters are shown and obeyed by no terminal; line breaks and tabs stay."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def on_one_line(text: str) -> str:
    """The same, with its line breaks shown as well: for a cell or a comment."""
    return visible(text).replace("\n", "⏎").replace("\t", "⇥")


def plural(n: int, noun: str, many: str = "") -> str:
    """ "1 seed", "3 seeds", "2 corpora"."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"


# --- Similarity ---


def small_sample(tokens: int, limited_by: str) -> str:
    """That a sample says little, and which corpus is so small."""
    because = f", which is all that was counted of {limited_by}" if limited_by else ""
    return (
        f"{tokens:,} tokens of each corpus say little{because}: scores of so few depend on the size of the sample more"
        " than on the text."
    )


def same_text(names: Sequence[str]) -> str:
    """That corpora are the same text under several names, as far as their sizes say."""
    return (
        f"{listed(names)} hold equally many documents, tokens and bytes: probably the same text, named"
        f" {'twice' if len(names) == 2 else f'{len(names)} times'}."
    )


def method(metric: str, feature: str, resamples: int, tokens: int, tokenizer: str) -> str:
    """How the numbers of a matrix were measured."""
    return (
        f"{metric} on {feature}. Mean over {resamples} random half-splits of {tokens:,} tokens each, with its 95%"
        f" jackknife interval; tokenizer {tokenizer}."
    )


def hashed(features: Sequence[str]) -> str:
    """That n-grams share buckets, and what their numbers can be compared with."""
    return f"{listed(features)}: n-grams are hashed, so compare these numbers with those of the same feature only."


def sense(alike: str, symmetric: bool) -> str:
    """How a similarity is read."""
    order = "" if symmetric else " Row: source; column: target."
    return f"{'Higher' if alike == 'high' else 'Lower'} is more similar.{order}"


def in_symbols(text: str, symbol: str) -> str:
    """A sentence or unit of "symbols" in what is counted: "bits per symbol" is "bits per token bigram"."""
    return text.replace("symbol", symbol)


def similarity(meaning: str, sure: bool | None, ceiling: float) -> str:
    """What a cell of a matrix says, and whether the pair differs at all (None: not tested); meaning: the metric's."""
    if sure is None:
        return (
            f"{meaning} Whether they differ at all this score cannot say: one was counted from more documents than the"
            " other, which moves the score by itself. The size-free similarity can."
        )
    if sure:
        return f"{meaning} Two samples of the same text score {ceiling:.3f}, so they differ."
    return f"{meaning} That is not distinguishable from two samples of the same text ({ceiling:.3f})."


def above_ceiling(a: str, b: str, n_documents: int, n_shared: int | None) -> str:
    """What a pair is that scores above the noise ceiling."""
    sentence = f"{a} and {b} are more alike than two samples of one text: above the noise ceiling."
    if n_shared is None:
        return f"{sentence} Shared near-duplicates?"
    share = f"{n_shared:,} of {n_documents:,} documents of {a} have a near-duplicate in {b}"
    return f"{sentence} {share}." if n_shared else f"{sentence} No near-duplicates: {share}."


def ceiling(corpus: str, value: float, low: float, high: float, alike: str) -> str:
    """What a cell on the diagonal says."""
    end = "most" if alike == "high" else "least"
    return (
        f"Noise ceiling: two halves of {corpus} score {value:.3f} (95%: {low:.3f} to {high:.3f}), the {end} that"
        " samples of this size can show."
    )


def with_itself(corpus: str) -> str:
    """What a cell on the diagonal of a size-free similarity says."""
    return f"1 by definition: {corpus} is as similar to itself as two samples of it can be."


# --- Proximity advantage ---


def advantage(
    gain: str | None, mixture: str, pretrain: str, target: str, value: float, low: float, high: float, agree: str
) -> str:
    """How much closer a mixture brings a target, and how sure that is.

    Parameters
    ----------
    gain
        The metric's clause of {target}, {mixture}, {pretrain}, {value} and {more_or_less}; None: closer or farther.
    agree
        How many half-splits have the sign of the value: "990 of 1000".
    """
    bounds = f"95%: {low:+.2f} to {high:+.2f}"
    if not low <= high:
        return f"{mixture} brings {target} {value:+.2f} closer than {pretrain} does; no interval is known."
    if low <= 0 <= high:
        return f"{mixture} is not significantly different from {pretrain} for {target} ({value:+.2f}; {bounds})."
    if gain is None:
        clause = (
            f"{mixture} is {abs(value):.3g} {'closer to' if value > 0 else 'farther from'} {target} than {pretrain}"
        )
    else:
        clause = gain.format(
            target=target, mixture=mixture, pretrain=pretrain, value=f"{abs(value):.2f}",
            more_or_less="less" if value > 0 else "more",
        )  # fmt: skip
    return f"{clause[0].upper()}{clause[1:]} ({bounds}; {agree} half-splits agree)."


def standing(others: int, indistinguishable: Sequence[str], better: bool = True) -> str:
    """From which of the other mixtures a mixture is distinguishable."""
    if others == 0:
        return ""
    if not indistinguishable:
        return "Distinguishable from all others." if others > 1 else "Distinguishable from the other."
    return f"Not significantly different from {listed(indistinguishable)}."


def peak(target: str, special: str, share: float, low: float, high: float) -> str:
    """At which share of a special corpus a target is closest; low, high: of 95% of half-splits."""
    if share == 0:
        return f"{target}: no share of {special} brings it closer."
    between = "in 95% of half-splits" if low == high else f"95% of half-splits: {low:.0%} to {high:.0%}"
    return f"{target}: closest at {share:.0%} {special} ({between})."


# --- A mixture ---


def share(corpus: str, value: float, low: float, high: float, dropped: bool, is_pretrain: bool, minimum: float) -> str:
    """One corpus's share of the recommended mixture."""
    bounds = f"(95%: {low:.1%} to {high:.1%})"
    if is_pretrain:
        at_minimum = " At the minimum you set." if minimum and value - minimum < 1e-6 else ""
        return f"{value:.1%} stays {corpus} {bounds}.{at_minimum}"
    if dropped:
        return f"No {corpus}: not significantly better for these targets than more of the pretraining corpus."
    if value < 0.0005:
        return f"No {corpus}: it helps these targets less than the others do {bounds}."
    return f"{value:.1%} {corpus} {bounds}."


def gain(target: str, pretrain: str, value: float, low: float, high: float, largest: float, symbol: str) -> str:
    """What the recommended mixture gains on a target, in bits per symbol.

    Parameters
    ----------
    largest
        What the target's own text would gain.
    symbol
        What is counted: token, token bigram ...
    """
    part = f", {value / largest:.0%} of what its own text would gain" if largest > value > 0 else ""
    chance = "; this may be chance" if low <= 0 <= high else ""
    return (
        f"{target}: {abs(value):.2f} bits per {symbol} {'less' if value >= 0 else 'more'} than under {pretrain} alone"
        f" (95%: {low:+.2f} to {high:+.2f}{chance}){part}."
    )


def coding_cost(pretrain: str, value: float, low: float, high: float, symbol: str) -> str:
    """What the recommended mixture costs on general text, in bits per symbol."""
    return (
        f"Coding cost on general text: text like {pretrain} costs {value:.2f} bits per {symbol} more"
        f" (95%: {low:.2f} to {high:.2f})."
    )


def forgetting_warning(pretrain: str, share: float) -> str:
    """That a mixture without a constraint leaves little of the pretraining corpus."""
    return (
        f"only {share:.0%} of the mixture stays {pretrain}, and nothing limits what is forgotten. Keep more of it with"
        f" --min-share {pretrain}=0.5, or set a budget with --max-forgetting."
    )


def training_length(tokens: int | None) -> str:
    """What to say of length where a mixture is trained; tokens: of the phase that trains on it, None: not known."""
    if tokens is None:
        return "Add --pretrain-tokens and --mid-tokens, how long to pretrain and to train on the mixture."
    return "It pretrains for as long as it trains on the mixture: put your own length after --pretrain-tokens."


def certified(feature: str, gap: float, resamples: int) -> str:
    """That a mixture is the best one."""
    return (
        f"By cross-entropy on {feature}, each corpus smoothed as Witten and Bell do. Certified: for these samples, no"
        f" mixture within the constraints is better by more than {gap:.0e} bits; larger samples have other shares."
        f" Intervals over {resamples} half-splits."
    )


def over_placebo(pretrain: str) -> str:
    """What a candidate is tested against before it gets a share."""
    return (
        f"over placebo: bits that a corpus gains in its place over as many held-out documents of {pretrain}; without"
        " a significant gain it gets no share (more text of the pretraining population got one in 9 of 240 trials)."
    )


# --- What training gave ---


def lost_records(n: int, path: str) -> str:
    """That measurements of finished runs are not recorded any more, and what to do."""
    return (
        f"{plural(n, 'measurement')} of finished runs {'is' if n == 1 else 'are'} missing in {path}: its lines were"
        " lost, and what is shown rests on the others.\nRepeat the study's command: they are recorded again, and"
        " nothing is trained anew."
    )


def regime(loss: float, unigram: float) -> str:
    """How much more than token frequencies a study's control models know; both in nats per token of general text."""
    start = f"before SFT the control's loss on general text is {loss:.2f} nats per token"
    if loss < unigram:
        return (
            f"{start}, {unigram - loss:.2f} below the unigram entropy of that text ({unigram:.2f}): these models use"
            " context."
        )
    return (
        f"{start}, {loss - unigram:.2f} above the unigram entropy of that text ({unigram:.2f}): these models know"
        " little more than how frequent each token is, and the effects below are effects on that."
    )


def effect(target: str, value: float | None, low: float | None, high: float | None, p: float | None) -> str:
    """What an arm did to the loss on a target, against its control: a clause without its subject.

    value, low, high: relative improvement, above 0 where the loss is lower; p: after Holm's correction.
    """
    if value is None:
        return f"has no measured effect on the loss on {target}"
    if low is None or high is None:
        return f"changed the loss on {target} by {-value:+.1%} (one seed: no interval)"
    if low <= 0 <= high:
        return (
            f"changed the loss on {target} by an amount not significantly different from zero"
            f" (improvement {value:+.1%} {interval(100 * low, 100 * high, 1, unit='%')})"
        )
    note = "" if p is not None and p < SIGNIFICANT else ", not significant after Holm's correction"
    if value > 0:
        return f"lowered the loss on {target} by {value:.1%} {interval(100 * low, 100 * high, 1, unit='%')}{note}"
    return f"raised the loss on {target} by {-value:.1%} {interval(-100 * high, -100 * low, 1, unit='%')}{note}"


def detectable(value: float | None) -> str:
    """The smallest effect that a study could have found."""
    return "" if value is None else f"minimum detectable effect (80% power): {value:.2%}"


def difference(value: float, low: float | None, high: float | None, unit: str = "nats per token") -> str:
    """ "0.051 nats per token more [0.04, 0.06]"."""
    if low is None or high is None:
        return f"{abs(value):.3f} {unit} {'less' if value < 0 else 'more'}"
    if value < 0:
        return f"{-value:.3f} {unit} less {interval(-high, -low, 3)}"
    return f"{value:.3f} {unit} more {interval(low, high, 3)}"


def fitted_mixture(model: str, predicted: float, error: float, best_loss: float) -> str:
    """Where a mixture that proxy runs recommend comes from, and what it is not."""
    return (
        f"Recommended by {model}, fitted on every run, within the constraints and no farther from a run than runs are"
        f" from each other: mean loss {predicted:.3f} by the model, whose error on runs held out is {error:.3f};"
        f" the best run has {best_loss:.3f}. Nothing is certified."
    )


def extrapolates(best_loss: float, predicted: float, error: float) -> str | None:
    """A doubt where a model promises more than any run has reached."""
    if best_loss - predicted <= 2 * error:
        return None
    return (
        "The model promises more than any run has reached, by more than twice its error: it extrapolates."
        " Train the mixture before you trust it, or recommend by another model."
    )


def agreement(
    predictor: str, statistic: str, value: float | None, low: float | None, high: float | None, n: int, p: float | None
) -> str:
    """How a predictor's numbers agree with what training gave; statistic: Spearman's ρ, Pearson's r."""
    if value is None:
        return f"{predictor}: agreement not measured."
    bounds = (
        " (no interval: too few pairs, or too few that vary)"
        if low is None
        else f" {interval(low, high, 2, signed=True)}"
    )
    chance = "" if p is None else f", permutation p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return f"{predictor} and the improvement correlate at {statistic} = {value:+.2f}{bounds}{chance} (n = {n})"


def attainable(statistic: str, value: float | None, low: float | None, high: float | None) -> str:
    """What the noise of the outcomes would leave of a perfect prediction."""
    if value is None:
        return f"{UNKNOWN_NOISE}."
    if low is None or high is None:
        return "The outcomes vary no more than their noise does: no prediction could be seen to agree with them."
    ends = interval(low, high, 2, signed=True)
    return f"The noise of the outcomes would leave a perfect prediction {statistic} = {value:+.2f} {ends}."


def beyond_baseline(beyond: Mapping[str, float]) -> str:
    """What a prediction adds to the same-domain baseline; the columns of `BeyondBaseline`."""
    partial, unmatched = (
        f"{beyond[name]:+.2f} {interval(beyond[f'{name}_low'], beyond[f'{name}_high'], 2, signed=True)},"
        f" p = {p_value(beyond[f'{name}_p'])}"
        for name in ("partial", "unmatched")
    )
    least = beyond["smallest_p"]
    limit = "" if least < 0.001 else f" (arrangements that keep the baseline allow no p below {least:.3f})"
    return (
        f"Given the same-domain baseline: partial r = {partial}; within the {beyond['n_unmatched']} pairs of other"
        f" domains Spearman's ρ = {unmatched}{limit}."
    )


def predictor_name(predictor: str) -> str:
    """A predictor in a sentence."""
    return "the prediction" if predictor == "predicted" else f"the {predictor}"
