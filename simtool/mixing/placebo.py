"""Does a candidate bring more than documents do? Its share against held-out documents of the pretraining corpus.

A mixture of finite samples pools their documents, which brings it closer to any target, so the best mixture of the
samples gives every candidate a share: another sample of the pretraining corpus, of which no model would learn anything
new, got .02 to .4. The *placebo* is that sample: where a candidate's share does no better when held-out documents of
the pretraining corpus take its place, the candidate has no claim to it.
"""

import numpy as np

from simtool.mixing.problem import Problem, on_half_samples
from simtool.mixing.solver import ConvexProblem, mix_rows
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
    """Only what the targets hold is looked at, and only one corpus of the sum is exchanged: mixing anew for each of 50
    corpora took four fifths of a recommendation's time.
    """
    target_V = problem.target_weights @ half.target_TV[:-1]
    held = np.flatnonzero(target_V)
    target_V, placebo_V = target_V[held], problem.counts.placebo(half)[held]
    mixed_V = mix_rows(weights, half.sources_KV)[held]
    per_token = weights @ half.per_token_K
    gains_K = np.zeros(len(weights))
    for k in np.flatnonzero(weights[1:] > 0) + 1:
        replaced_V = mixed_V + weights[k] * (placebo_V - half.sources_KV[k, held])
        replaced_per_token = per_token + weights[k] * (half.per_token_K[0] - half.per_token_K[k])
        gains_K[k] = target_V @ np.log2(mixed_V * replaced_per_token / (replaced_V * per_token))
    return gains_K
