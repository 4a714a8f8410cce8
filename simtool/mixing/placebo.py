"""Does a candidate bring more than documents do? Its share against held-out documents of the pretraining corpus.

A mixture of finite samples pools their documents, which brings it closer to any target, so the best mixture of the
samples gives every candidate a share: another sample of the pretraining corpus, of which no model would learn anything
new, got .02 to .4. The *placebo* is that sample: where a candidate's share does no better when held-out documents of
the pretraining corpus take its place, the candidate has no claim to it.
"""

import numpy as np

from simtool.mixing.problem import Problem, on_half_samples
from simtool.mixing.solver import ConvexProblem
from simtool.similarity.resampling import interval
from simtool.statistics import explained_by_folds

# K corpora that may be mixed, the pretraining corpus first; R half-samples


def gains_over_placebo(problem: Problem, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits by which the targets cost less than with the placebo in place of each corpus: value, low, high (K,) each.

    The mixture stays, only one corpus in it is replaced; on each half-sample the placebo is the half of the
    pretraining corpus that is no source. 0 for the pretraining corpus and for what has no share.
    """
    (gains_RK,) = on_half_samples(lambda half: (_gains(half, problem, weights),), problem)
    low, high = interval(explained_by_folds(gains_RK, problem.splits))
    return gains_RK.mean(axis=0), low, high


def _gains(half: ConvexProblem, problem: Problem, weights: np.ndarray) -> np.ndarray:
    placebo_V = problem.counts.placebo(half)
    gains_K = np.zeros(len(weights))
    bits = problem.target_weights @ half.bits(weights)[:-1]
    for k in np.flatnonzero(weights[1:] > 0) + 1:
        sources_KV, per_token_K = half.sources_KV.copy(), half.per_token_K.copy()
        sources_KV[k], per_token_K[k] = placebo_V, per_token_K[0]
        replaced = ConvexProblem(sources_KV, per_token_K, half.target_TV, half.lower_K, half.upper_K)
        gains_K[k] = problem.target_weights @ replaced.bits(weights)[:-1] - bits
    return gains_K
