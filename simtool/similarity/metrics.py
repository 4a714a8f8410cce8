"""Every similarity: a function of two distributions, and what is true of it.

To add one, write the function and its entry in METRICS: every matrix, command, page and fact-test then knows it. Where
algebra allows a faster way for many pairs at once, the entry may have a kernel: a formula over the sums of `kernels`.

p and q are distributions over the last axis: float (..., V), non-negative, each summing to 1. Leading axes
broadcast. In directed metrics p is the source (what is trained on) and q the target.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simtool.errors import unknown
from simtool.similarity import kernels
from simtool.similarity.kernels import TINY, Kernel, Sums

UNIFORM_SHARE = 0.01  # uniform part of a smoothed distribution, in `kl` and `cross_entropy`
DSIR_CONSTANT = 1e-8  # added to every share: p-lambda/dsir, hashed_ngram_dsir.py
# Fitted on RegMix 1M-train (512 runs of 1M parameters, 1B tokens) on 2026-11-26, then frozen: an entry that makes up
# three in a million symbols is learnt to 1 - 1/sqrt(2). Scales from 1e-6 to 1e-5 ranked the runs within 0.01 as well.
EXPOSURE_SCALE = 3e-6
TOKEN_LOW = 0.3 / (1 + math.log(2))  # nothing in common: cosine 0, Jaccard 0, JSD ln 2 nats


@dataclass(frozen=True)
class Metric:
    """A similarity or divergence, and the facts that hold for every pair of distributions.

    about      one sentence: when to use it
    compute    compute(p, q) -> (...): over the last axis, see the module's first lines
    low, high  the range; high may be inf
    alike      the end of the range that means more similar
    identity   compute(p, p); None where it depends on p
    symmetric  compute(p, q) == compute(q, p)
    source     where the definition comes from
    title      what people call it, where that is another name
    limits     where it makes sense, and where it does not, in one sentence
    meaning    what a value says of two corpora, as a sentence of {a}, {b} and {value}
    gain       what an advantage says, in a clause of {target}, {mixture}, {pretrain}, {value} and {more_or_less}; None:
               how much closer, in the unit of the metric
    unit       of a value; empty for a number without one
    bias       bias(p, q, n_p, n_q) -> (...): what sampling adds to compute, to first order in 1/n, when p and
               q are the shares seen in samples of n_p and n_q symbols; subtract it, then clip to the range.
               None where none is known
    feature    what it is meant to be computed on, unless another feature is asked for
    proper     no source scores better for a target than the target itself (Gneiting and Raftery 2007,
               doi:10.1198/016214506000001437)
    vocabulary only for features whose entries are counted one by one: nearly all buckets of a hashed feature are hit
               by any corpus, and so are nearly all classes of length
    by_ceilings   between samples, divide by the geometric mean of both ceilings (half against half of each corpus):
               Spearman's correction for attenuation (1904, The American Journal of Psychology 15)
    kernel     the same as compute, and bias_kernel the same as bias, over sums that are taken of many pairs at once;
               None: by the definition, pair by pair
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
    title: str = ""
    limits: str = ""
    meaning: str = "{a} and {b} score {value} by {metric}."
    gain: str | None = None
    unit: str = ""
    bias: Callable[..., np.ndarray] | None = None
    feature: str = "token"
    proper: bool = True
    vocabulary: bool = False
    by_ceilings: bool = False
    kernel: Kernel | None = None
    bias_kernel: Kernel | None = None

    @property
    def label(self) -> str:
        """What people call it, with its name: "paper's score (token)"."""
        return f"{self.title} ({self.name})" if self.title else self.name

    @property
    def sign(self) -> int:
        """1 where higher is more similar, -1 where lower is: sign * value always rises with similarity."""
        return 1 if self.alike == "high" else -1


ALIASES = {"jsd": "js"}


def find_metric(name: str) -> Metric:
    """The metric of that name or alias.

    Raises
    ------
    SimtoolError
        When there is none.
    """
    name = ALIASES.get(name, name)
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

    In nats, each entry has d2 JSD / dp2 = 1/(2p) - 1/(2(p+q)) = q / (2p(p+q)), and its share in a sample has
    the variance p(1-p)/n. Half their product, summed: sum of q(1-p) / (4 n_p (p+q)); likewise for q. With
    p = q that is (V-1)/8 (1/n_p + 1/n_q). An entry that a sample lacks adds nothing for that sample, as in
    Miller and Madow's correction of the entropy (1955); so where most entries are seen once or never, this is
    too little.

    Parameters
    ----------
    n_p, n_q
        (...): symbols in each sample.
    """
    both = p + q + TINY
    from_p = ((p > 0) * (1 - p) * q / both).sum(axis=-1) / n_p
    from_q = ((q > 0) * (1 - q) * p / both).sum(axis=-1) / n_q
    return (from_p + from_q) / (4 * math.log(2))


def shared_information(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """1 - Jensen-Shannon divergence: 1 for equal distributions, 0 for distributions that have nothing in common."""
    return 1 - jensen_shannon(p, q)


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

    It is `kl` plus the entropy of the smoothed target, so for a target no source scores below the
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


def exposure(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Percent of the target's entries that are left to learn, by how often the source shows each."""
    return np.clip(100 * (q * unlearnt(p)).sum(axis=-1), 0, 100)


def unlearnt(p: np.ndarray) -> np.ndarray:
    """How much of the loss on an entry is left when it makes up a share p of what is read: 1 at 0, then a power law
    whose exponent is a half.

    Cross-entropy has -log p here, which never flattens; losses of language models fall by a power of the data
    (Hestness et al. 2017, arXiv:1712.00409).
    """
    return 1 / np.sqrt(1 + p / EXPOSURE_SCALE)


def smooth(p: np.ndarray, V: int) -> np.ndarray:
    """99% p, 1% uniform over all V entries that the feature has, seen or not."""
    return p * (1 - UNIFORM_SHARE) + UNIFORM_SHARE / V


def smooth_dsir(p: np.ndarray, V: int) -> np.ndarray:
    """DSIR_CONSTANT more for each of the V entries, brought back to sum 1."""
    return (p + DSIR_CONSTANT) / (1 + DSIR_CONSTANT * V)


def _relative_entropies(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p log2(p / q), entry by entry; 0 where p is 0, and exactly 0 where p == q."""
    return p * np.log2((p + TINY) / (q + TINY))


# --- The same over sums of many pairs at once, see `kernels` ---

CROSS, OWN = kernels.smoothed_sums(smooth)
CROSS_DSIR, OWN_DSIR = kernels.smoothed_sums(smooth_dsir)
LEARNT = kernels.weighted_by(lambda p: 1 - unlearnt(p))


def jensen_shannon_of(sums: Sums) -> np.ndarray:
    """With s = p + q: 2 JS = sum of p log2 p + q log2 q - s log2 s + s; an entry of either alone adds its share."""
    own = sums[kernels.p_log_p] + sums[kernels.q_log_q]
    return np.clip(1 + (own - sums[kernels.both_log_both]) / 2, 0, 1)


def jensen_shannon_bias_of(sums: Sums) -> np.ndarray:
    """With t = q / (p + q): sums of (p > 0)(1 - p) t and of (q > 0)(1 - q)(1 - t).

    Over the n_q entries of q that the source has in any split, t sums to T and p t to W, and t is 1 where p is 0.
    """
    T, W, n_q = sums[kernels.share_of_q], sums[kernels.harmonic], sums[kernels.n_q_of_source]
    from_p = (T - (n_q - sums[kernels.n_both]) - W) / sums.n_p
    from_q = (n_q - T - W) / sums.n_q
    return (from_p + from_q) / (4 * math.log(2))


def cosine_of(sums: Sums) -> np.ndarray:
    return sums[kernels.dot] / np.sqrt(sums[kernels.square_p] * sums[kernels.square_q])


def jaccard_of(sums: Sums) -> np.ndarray:
    return sums[kernels.n_both] / (sums[kernels.n_p] + sums[kernels.n_q] - sums[kernels.n_both])


def token_of(sums: Sums) -> np.ndarray:
    return token_from_parts(cosine_of(sums), jaccard_of(sums), jensen_shannon_of(sums))


def cross_entropy_of(sums: Sums) -> np.ndarray:
    return -np.log2(smooth(0.0, sums.V)) - sums[CROSS]


JENSEN_SHANNON = Kernel(jensen_shannon_of, (kernels.p_log_p, kernels.q_log_q), (kernels.both_log_both,))
JENSEN_SHANNON_BIAS = Kernel(
    jensen_shannon_bias_of, (kernels.n_both, kernels.n_q_of_source), (kernels.share_of_q, kernels.harmonic)
)
SHARED_INFORMATION = Kernel(lambda sums: 1 - jensen_shannon_of(sums), JENSEN_SHANNON.products, JENSEN_SHANNON.pairs)
COSINE = Kernel(cosine_of, (kernels.dot, kernels.square_p, kernels.square_q))
JACCARD = Kernel(jaccard_of, (kernels.n_both, kernels.n_p, kernels.n_q))
TOKEN = Kernel(token_of, COSINE.products + JACCARD.products + JENSEN_SHANNON.products, JENSEN_SHANNON.pairs)
HELLINGER = Kernel(lambda sums: np.sqrt(np.maximum(sums[kernels.root_distance], 0) / 2), (kernels.root_distance,))
BHATTACHARYYA = Kernel(lambda sums: 1 - sums[kernels.root_distance] / 2, (kernels.root_distance,))
OVERLAP = Kernel(lambda sums: sums[kernels.smaller], pairs=(kernels.smaller,))
TOTAL_VARIATION = Kernel(lambda sums: 1 - sums[kernels.smaller], pairs=(kernels.smaller,))
CROSS_ENTROPY = Kernel(cross_entropy_of, (CROSS,))
KL = Kernel(lambda sums: sums[OWN] - sums[CROSS], (CROSS, OWN))
EXPOSURE = Kernel(lambda sums: np.clip(100 * (1 - sums[LEARNT]), 0, 100), (LEARNT,))
DSIR_KL = Kernel(lambda sums: sums[OWN_DSIR] - sums[CROSS_DSIR], (CROSS_DSIR, OWN_DSIR))


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
            title="paper's score",
            limits="Compare at equal sizes only: between samples of one text it rises with their size.",
            meaning="{a} and {b} score {value} of 1 in shared words and how often they are used.",
            vocabulary=True,
            kernel=TOKEN,
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
            title="Jensen-Shannon divergence",
            bias=jensen_shannon_bias,
            limits="Any feature; the correction for sampling is too small where most entries are seen once or never.",
            meaning="One symbol of text tells {value} bits about whether it is from {a} or {b}.",
            unit="bits",
            kernel=JENSEN_SHANNON,
            bias_kernel=JENSEN_SHANNON_BIAS,
        ),
        Metric(
            "size_free",
            "How similar the texts are, whatever the size of the samples: 1 - js, divided by what noise leaves of it.",
            shared_information,
            low=0,
            high=1,
            alike="high",
            identity=1,
            symmetric=True,
            source="1 - js over the geometric mean of both noise ceilings (Spearman 1904, correction for attenuation)",
            limits="Any feature; within .03 of the texts' own value at 10,000 tokens, .01 from 50,000 (coverage.csv).",
            meaning="{a} and {b} share {value} of what two samples of one text share.",
            title="size-free similarity",
            by_ceilings=True,
            kernel=SHARED_INFORMATION,
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
            limits="Any feature; rises where most entries are rare, so compare at equal sizes only.",
            meaning="{a} and {b} lie {value} apart, of 1 at most.",
            kernel=HELLINGER,
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
            limits="Any feature; falls where most entries are rare, so compare at equal sizes only.",
            kernel=BHATTACHARYYA,
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
            limits="Any feature; blind to rare entries, and so to most of a vocabulary.",
            kernel=COSINE,
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
            limits="Features with a vocabulary; of hashed features it only counts buckets.",
            vocabulary=True,
            kernel=JACCARD,
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
            limits="Any feature; falls where most entries are rare, so compare at equal sizes only.",
            meaning="A share of {value} of the symbols of {a} could be swapped for symbols of {b}.",
            kernel=OVERLAP,
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
            limits="Any feature; rises where most entries are rare, so compare at equal sizes only.",
            kernel=TOTAL_VARIATION,
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
            limits="Ranks sources of one target; between targets it depends on how varied they are.",
            meaning="Where a symbol of {b} is coded as if it were {a}, it costs {value} bits too many.",
            unit="bits per symbol",
            kernel=KL,
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
            limits="Ranks sources of one target; values of two targets say how varied they are, not how similar.",
            meaning="A symbol of {b} costs {value} bits under a model of {a}.",
            gain="a symbol of {target} costs {value} bits {more_or_less} with {mixture} than under {pretrain}",
            unit="bits per symbol",
            kernel=CROSS_ENTROPY,
        ),
        Metric(
            "exposure",
            "Directed: how much of the target is left to learn from the source; predicts which mixture helps most.",
            exposure,
            low=0,
            high=100,
            alike="low",
            identity=None,
            symmetric=False,
            source="Hestness et al. 2017, arXiv:1712.00409 (power laws); for entries of a feature our own",
            limits="Ranks sources of one target; a source can score better than the target's own text.",
            meaning="After reading {a}, {value}% of what {b} consists of is left to learn.",
            gain="{value}% {more_or_less} of {target} is left to learn with {mixture} than with {pretrain}",
            unit="percent of the target left to learn",
            feature="skeleton3",
            proper=False,
            kernel=EXPOSURE,
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
            limits="Ranks sources of one target at equal sizes; unseen entries decide it, and so does the vocabulary.",
            unit="bits per symbol",
            kernel=DSIR_KL,
        ),
    )
}
