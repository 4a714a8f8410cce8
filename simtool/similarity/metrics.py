"""Every similarity: a function of two distributions, and what is true of it.

To add one, write the function and its entry in METRICS. Every matrix, command and fact-test then knows it;
where algebra allows a faster way for many pairs at once, `pairwise.FAST` may have an entry as well.

p and q are distributions over the last axis: float (..., V), non-negative, each summing to 1. Leading axes
broadcast. In directed metrics p is the source (what is trained on) and q the target.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simtool.errors import unknown

TINY = 1e-30  # keeps logarithms off zero; far below the share of one token in any sample, so no value changes
UNIFORM_SHARE = 0.01  # uniform part of a smoothed distribution, in `kl` and `cross_entropy`
DSIR_CONSTANT = 1e-8  # added to every share: p-lambda/dsir, hashed_ngram_dsir.py
TOKEN_LOW = 0.3 / (1 + math.log(2))  # nothing in common: cosine 0, Jaccard 0, JSD ln 2 nats


@dataclass(frozen=True)
class Metric:
    """A similarity or divergence, and the facts that hold for every pair of distributions.

    about      one sentence: when to use it
    compute    compute(p, q) -> (...): over the last axis, see the module's first lines
    low, high  the range; high may be inf
    alike      the end of the range that means alike
    identity   compute(p, p); None where it depends on p
    symmetric  compute(p, q) == compute(q, p)
    source     where the definition comes from
    bias       bias(p, q, n_p, n_q) -> (...): what sampling adds to compute, to first order in 1/n, when p and
               q are the shares seen in samples of n_p and n_q symbols; subtract it, then clip to the range.
               None where none is known
    feature    what it is meant to be computed on, unless another feature is asked for
    """

    name: str
    about: str
    compute: Callable[[np.ndarray, np.ndarray], np.ndarray]
    low: float
    high: float
    alike: Literal["high", "low"]
    identity: float | None
    symmetric: bool
    source: str
    bias: Callable[..., np.ndarray] | None = None
    feature: str = "token"
    meaning: str = "{a} and {b} score {value} by {metric}."
    gain: str | None = None
    unit: str = ""


def find_metric(name: str) -> Metric:
    """The metric of that name. Raises SimtoolError when there is none."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


# --- Symmetric: the order does not matter ---


def token(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The paper's published score: 0.4 cosine + 0.3 vocabulary Jaccard + 0.3 / (1 + JSD in nats)."""
    return token_from_parts(cosine(p, q), jaccard(p, q), jensen_shannon(p, q))


def token_from_parts(cosine: np.ndarray, jaccard: np.ndarray, jsd_bits: np.ndarray) -> np.ndarray:
    score = 0.4 * cosine + 0.3 * jaccard + 0.3 / (1 + jsd_bits * math.log(2))
    return np.clip(score, TOKEN_LOW, 1)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Mean relative entropy of p and q to their middle, in bits; SciPy's `jensenshannon` is its root."""
    middle = (p + q) / 2
    bits = (_relative_entropies(p, middle) + _relative_entropies(q, middle)).sum(axis=-1) / 2
    return np.clip(bits, 0, 1)


def jensen_shannon_bias(p: np.ndarray, q: np.ndarray, n_p: np.ndarray, n_q: np.ndarray) -> np.ndarray:
    """How far the divergence of two samples lies above that of their sources, in bits; to first order in 1/n.

    n_p, n_q   (...)   symbols in each sample

    In nats, each entry has d2 JSD / dp2 = 1/(2p) - 1/(2(p+q)) = q / (2p(p+q)), and its share in a sample has
    the variance p(1-p)/n. Half their product, summed: sum of q(1-p) / (4 n_p (p+q)); likewise for q. With
    p = q that is (V-1)/8 (1/n_p + 1/n_q). An entry that a sample lacks adds nothing for that sample, as in
    Miller and Madow's correction of the entropy (1955); so where most entries are seen once or never, this is
    too little.
    """
    both = p + q + TINY
    from_p = ((p > 0) * (1 - p) * q / both).sum(axis=-1) / n_p
    from_q = ((q > 0) * (1 - q) * p / both).sum(axis=-1) / n_q
    return (from_p + from_q) / (4 * math.log(2))


def hellinger(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Euclidean distance between square roots, over sqrt(2); a metric in the mathematical sense."""
    return np.minimum(np.sqrt(np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=-1) / 2), 1)


def bhattacharyya(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Sum of sqrt(p q); 1 - hellinger^2."""
    return np.minimum((np.sqrt(p) * np.sqrt(q)).sum(axis=-1), 1)


def cosine(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Cosine of the angle between p and q; the frequent entries decide it."""
    # one root of the product, and not a product of roots: cosine(p, p) is then exactly 1
    lengths = np.sqrt(np.square(p).sum(axis=-1) * np.square(q).sum(axis=-1))
    return np.minimum((p * q).sum(axis=-1) / lengths, 1)


def jaccard(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Entries that both have, over entries that either has; shares do not matter, sample sizes do."""
    both = np.count_nonzero((p > 0) & (q > 0), axis=-1)
    either = np.count_nonzero((p > 0) | (q > 0), axis=-1)
    return both / either


def overlap(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Sum of min(p, q); 1 - total_variation."""
    return np.minimum(np.minimum(p, q).sum(axis=-1), 1)


def total_variation(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Half the sum of |p - q|: the largest difference that any set of entries can show."""
    return np.minimum(np.abs(p - q).sum(axis=-1) / 2, 1)


# --- Directed: p is the source, q the target ---


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(target || source) in bits, both smoothed: 99% what was counted, 1% uniform over the V entries."""
    V = p.shape[-1]
    return np.maximum(_relative_entropies(smooth(q, V), smooth(p, V)).sum(axis=-1), 0)


def cross_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Bits per symbol of the target under the source as a unigram model, both smoothed as in `kl`.

    It is `kl` plus the entropy of the smoothed target, so for a given target no source scores below the
    target itself. Were the target left unsmoothed, a source could: by making up for its own uniform part.
    """
    V = p.shape[-1]
    return -(smooth(q, V) * np.log2(smooth(p, V))).sum(axis=-1)


def dsir_kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(target || source) in bits with DSIR's additive smoothing, so slight that what is unseen weighs most.

    DSIR adds the constant to the shares of lower-cased word unigrams and bigrams, hashed together into 10,000
    buckets, and leaves the sum above 1. Here the shares are those of any feature (by default token unigrams
    and pairs side by side), and both sides are brought back to sum 1, so that the value is never below 0.
    """
    V = p.shape[-1]
    return np.maximum(_relative_entropies(smooth_dsir(q, V), smooth_dsir(p, V)).sum(axis=-1), 0)


def smooth(p: np.ndarray, V: int) -> np.ndarray:
    """99% p, 1% uniform over all V entries that the feature has, seen or not."""
    return p * (1 - UNIFORM_SHARE) + UNIFORM_SHARE / V


def smooth_dsir(p: np.ndarray, V: int) -> np.ndarray:
    """DSIR_CONSTANT more for each of the V entries, brought back to sum 1."""
    return (p + DSIR_CONSTANT) / (1 + DSIR_CONSTANT * V)


def _relative_entropies(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p log2(p / q), entry by entry; 0 where p is 0, and exactly 0 where p == q."""
    return p * np.log2((p + TINY) / (q + TINY))


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "token",
            "The paper's score, for comparing with its figures: vocabulary and frequencies in one number.",
            token,
            low=TOKEN_LOW,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="arXiv:2510.14865",
            meaning="{a} and {b} score {value} of 1 in shared words and how often they are used.",
        ),
        Metric(
            "js",
            "The first choice for a measurement: bits that one symbol tells about which corpus it came from.",
            jensen_shannon,
            low=0,
            high=1,
            alike="low",
            identity=0,
            symmetric=True,
            source="Lin 1991, doi:10.1109/18.61115; Jensen-Shannon divergence",
            bias=jensen_shannon_bias,
            meaning="One symbol of text tells {value} bits about whether it is from {a} or {b}.",
            unit="bits",
        ),
        Metric(
            "hellinger",
            "A true distance (triangle inequality), for clustering or maps of corpora; rare entries count.",
            hellinger,
            low=0,
            high=1,
            alike="low",
            identity=0,
            symmetric=True,
            source="Hellinger 1909, doi:10.1515/crll.1909.136.210",
            meaning="{a} and {b} lie {value} apart, of 1 at most.",
        ),
        Metric(
            "bhattacharyya",
            "The similarity behind hellinger, where higher should mean alike.",
            bhattacharyya,
            low=0,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="Bhattacharyya 1943, Bulletin of the Calcutta Mathematical Society 35",
        ),
        Metric(
            "cosine",
            "Fast and hardly moved by sample size, but the few most frequent entries decide it.",
            cosine,
            low=0,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="Salton, Wong and Yang 1975, doi:10.1145/361219.361220",
        ),
        Metric(
            "jaccard",
            "Shared vocabulary alone, whatever its frequency; only for samples of equal size.",
            jaccard,
            low=0,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x",
        ),
        Metric(
            "overlap",
            "The share of the symbols of one corpus that could be exchanged for symbols of the other.",
            overlap,
            low=0,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="1 - total variation",
            meaning="A share of {value} of the symbols of {a} could be swapped for symbols of {b}.",
        ),
        Metric(
            "total_variation",
            "How far the share of any group of entries can differ between the two.",
            total_variation,
            low=0,
            high=1,
            alike="low",
            identity=0,
            symmetric=True,
            source="Levin and Peres, Markov Chains and Mixing Times, section 4.1",
        ),
        Metric(
            "kl",
            "Directed: extra bits per target symbol under the source; asks if the source covers the target.",
            kl,
            low=0,
            high=math.inf,
            alike="low",
            identity=0,
            symmetric=False,
            source="Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; both sides with 1% uniform",
            meaning="Where a symbol of {b} is coded as if it were {a}, it costs {value} bits too many.",
            unit="bits per symbol",
        ),
        Metric(
            "cross_entropy",
            "Directed: bits per target symbol under the source, for ranking sources of one target.",
            cross_entropy,
            low=0,
            high=math.inf,
            alike="low",
            identity=None,
            symmetric=False,
            source="Moore and Lewis 2010, aclanthology.org/P10-2041; unigrams, both sides with 1% uniform",
            meaning="A symbol of {b} costs {value} bits under a model of {a}.",
            gain="a symbol of {target} costs {value} bits {more_or_less} with {mixture} than under {pretrain}",
            unit="bits per symbol",
        ),
        Metric(
            "dsir_kl",
            "Directed: what DSIR's data selection lowers; what the source never shows weighs most.",
            dsir_kl,
            low=0,
            high=math.inf,
            alike="low",
            identity=0,
            symmetric=False,
            source="arXiv:2302.03169",
            feature="token+token2",
            unit="bits per symbol",
        ),
    )
}
