"""A metric of every source with every target, on many half-splits at once.

`pairwise` compares rows as they are. Here the rows change from split to split, and most of the work is shared:
a metric is a formula over a few sums, the sums of all splits are taken tile by tile while the tile is in the
cache, and metrics that use the same sum (the paper's score and cosine, say) share it. To give a metric a way of
its own, write its entry in LAWS; a metric without one goes through `pairwise`, split by split.

Sums of f(p) g(q) are matrix products. Those that need every pair of entries (js, overlap) look only at the
entries that the target has: where q = 0, min(p, q) is 0 and p contributes p / 2 to the divergence.
"""

# R splits, B of them at a time; n sources, m targets; V entries of the distributions, C of them in a tile

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simtool.similarity import metrics
from simtool.similarity.metrics import TINY, Metric
from simtool.similarity.pairwise import pairwise

# One matrix product of a tile (8 splits, 16 folds, 1,024 entries) is small enough for OpenBLAS to leave it to one
# thread. The threads are ours: with those of BLAS as well the product took 8 times as long (2 busy cores). Half or
# twice as much of either cost the same within 20%.
TILE_COLUMNS = 1024
TILE_SPLITS = 8
DENSE = 0.6  # where a target has more of a tile's entries than this, picking them costs more than it saves


@dataclass
class Tile:
    """Some entries of some splits.

    p, q   float32 (B, n, C), (B, m, C)   shares of the sources' halves and of the targets' other halves
    near   for each target, which of the C entries the whole target has; other entries have q = 0
    V      entries of the whole distributions
    """

    p: np.ndarray
    q: np.ndarray
    near: list[np.ndarray | slice]
    V: int

    @cached_property
    def seen_p(self) -> np.ndarray:
        return (self.p > 0).astype(np.float32)

    @cached_property
    def seen_q(self) -> np.ndarray:
        return (self.q > 0).astype(np.float32)

    @cached_property
    def is_near(self) -> np.ndarray:
        """float32 (m, C): 1 for the entries in `near`."""
        mask = np.zeros(self.q.shape[1:], np.float32)
        for row, columns in zip(mask, self.near, strict=True):
            row[columns] = 1
        return mask


@dataclass
class Near:
    """The entries of a tile that one target has: p float32 (B, n, C), q float32 (B, 1, C)."""

    p: np.ndarray
    q: np.ndarray

    @cached_property
    def both(self) -> np.ndarray:
        return self.p + (self.q + np.float32(TINY))

    @cached_property
    def share_of_q(self) -> np.ndarray:
        return self.q / self.both


Product = Callable[[Tile], np.ndarray]  # -> (B, n or 1, m or 1)
Pair = Callable[["Near"], np.ndarray]  # -> (B, n)


# --- Sums of f(p) g(q) ---


def _dot(tile: Tile) -> np.ndarray:
    return tile.p @ tile.q.mT


def _square_p(tile: Tile) -> np.ndarray:
    return np.vecdot(tile.p, tile.p)[:, :, None]


def _square_q(tile: Tile) -> np.ndarray:
    return np.vecdot(tile.q, tile.q)[:, None, :]


def _root_distance(tile: Tile) -> np.ndarray:
    """Sum of (sqrt p - sqrt q)^2; in float64, so that it is exactly 0 for equal rows."""
    p, q = (np.sqrt(x).astype(np.float64) for x in (tile.p, tile.q))
    return np.vecdot(p, p)[:, :, None] + np.vecdot(q, q)[:, None, :] - 2 * (p @ q.mT)


def _n_both(tile: Tile) -> np.ndarray:
    return tile.seen_p @ tile.seen_q.mT


def _n_p(tile: Tile) -> np.ndarray:
    return tile.seen_p.sum(axis=-1)[:, :, None]


def _n_q(tile: Tile) -> np.ndarray:
    return tile.seen_q.sum(axis=-1)[:, None, :]


def _p_log_p(tile: Tile) -> np.ndarray:
    """Over the entries near each target."""
    return (tile.p * np.log2(tile.p + np.float32(TINY))) @ tile.is_near.T


def _q_log_q(tile: Tile) -> np.ndarray:
    return np.vecdot(tile.q, np.log2(tile.q + np.float32(TINY)))[:, None, :]


def _smoothed(smooth: Callable) -> tuple[Product, Product]:
    """Sums of q' log2(p' / floor) and of q' log2(q' / floor): p', q' smoothed, floor what an unseen entry has.

    Divided by the floor, unseen entries add nothing, and need not be looked at. Seen ones have up to 30 bits each, of
    which little is left when one sum is taken from the other; so the terms are float32 and the sums float64. Sums in
    float32 differed by 1e-5 bits from one BLAS to another.
    """

    def over_floor(x: np.ndarray, V: int) -> np.ndarray:
        ratio = smooth(x, V)
        ratio /= np.float32(smooth(0.0, V))
        return ratio

    def cross(tile: Tile) -> np.ndarray:
        bits = over_floor(tile.p, tile.V)
        return _in_float64(lambda bits, q: bits @ q.T, np.log2(bits, out=bits), smooth(tile.q, tile.V))

    def own(tile: Tile) -> np.ndarray:
        return _in_float64(np.vecdot, np.log2(over_floor(tile.q, tile.V)), smooth(tile.q, tile.V))[:, None, :]

    return cross, own


def _in_float64(product: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Split by split, as the whole tile in float64 leaves the cache: 3 times as long."""
    return np.stack([product(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(x, y, strict=True)])


_cross, _own = _smoothed(metrics.smooth)
_cross_dsir, _own_dsir = _smoothed(metrics.smooth_dsir)


# --- Sums that need every pair ---


def _sum_log_sum(near: Near) -> np.ndarray:
    return np.vecdot(near.both, np.log2(near.both))


def _share_of_q(near: Near) -> np.ndarray:
    return _sum(near.share_of_q)


def _harmonic(near: Near) -> np.ndarray:
    return np.vecdot(near.p, near.share_of_q)


def _smaller(near: Near) -> np.ndarray:
    return _sum(np.minimum(near.p, near.q))


def _sum(x: np.ndarray) -> np.ndarray:
    return x @ np.ones(x.shape[-1], np.float32)  # half the time of x.sum(axis=-1)


# --- Formulas over the sums ---


class Sums(dict):
    """Each sum by the function that gives its terms: float64 (R, n or 1, m or 1); and the sizes of the halves.

    n_p, n_q   float64 (R, n, 1), (R, 1, m)   symbols in each half
    """

    n_p: np.ndarray
    n_q: np.ndarray
    V: int


@dataclass(frozen=True)
class Law:
    """A metric as a formula over sums, its correction for sampling included."""

    value: Callable[[Sums], np.ndarray]
    products: tuple[Product, ...] = ()
    pairs: tuple[Pair, ...] = ()


def _cosine(sums: Sums) -> np.ndarray:
    return sums[_dot] / np.sqrt(sums[_square_p] * sums[_square_q])


def _jaccard(sums: Sums) -> np.ndarray:
    return sums[_n_both] / (sums[_n_p] + sums[_n_q] - sums[_n_both])


def _jensen_shannon(sums: Sums) -> np.ndarray:
    """With s = p + q: 2 JS = sum of p log2 p + q log2 q - s log2 s + s; an entry without q adds p."""
    return np.clip(1 + (sums[_p_log_p] + sums[_q_log_q] - sums[_sum_log_sum]) / 2, 0, 1)


def _corrected_jensen_shannon(sums: Sums) -> np.ndarray:
    """Less `metrics.jensen_shannon_bias`, with t = q / (p + q): sums of (p > 0)(1 - p) t and (q > 0)(1 - q)(1 - t).

    Over the n_q entries that q has, t sums to T and p t to W, and t is 1 where p is 0.
    """
    T, W = sums[_share_of_q], sums[_harmonic]
    from_p = (T - (sums[_n_q] - sums[_n_both]) - W) / sums.n_p
    from_q = (sums[_n_q] - T - W) / sums.n_q
    return _jensen_shannon(sums) - (from_p + from_q) / (4 * np.log(2))


def _token(sums: Sums) -> np.ndarray:
    return metrics.token_from_parts(_cosine(sums), _jaccard(sums), _jensen_shannon(sums))


def _cross_entropy(sums: Sums) -> np.ndarray:
    return -np.log2(metrics.smooth(0.0, sums.V)) - sums[_cross]


COSINE = (_dot, _square_p, _square_q)
JACCARD = (_n_both, _n_p, _n_q)
JENSEN_SHANNON = (_p_log_p, _q_log_q)
LAWS = {
    metrics.token: Law(_token, (*COSINE, *JACCARD, *JENSEN_SHANNON), (_sum_log_sum,)),
    metrics.jensen_shannon: Law(
        _corrected_jensen_shannon, (*JENSEN_SHANNON, _n_both, _n_q), (_sum_log_sum, _share_of_q, _harmonic)
    ),
    metrics.hellinger: Law(lambda sums: np.sqrt(np.maximum(sums[_root_distance], 0) / 2), (_root_distance,)),
    metrics.bhattacharyya: Law(lambda sums: 1 - sums[_root_distance] / 2, (_root_distance,)),
    metrics.cosine: Law(_cosine, COSINE),
    metrics.jaccard: Law(_jaccard, JACCARD),
    metrics.overlap: Law(lambda sums: sums[_smaller], (), (_smaller,)),
    metrics.total_variation: Law(lambda sums: 1 - sums[_smaller], (), (_smaller,)),
    metrics.kl: Law(lambda sums: sums[_own] - sums[_cross], (_cross, _own)),
    metrics.cross_entropy: Law(_cross_entropy, (_cross,)),
    metrics.dsir_kl: Law(lambda sums: sums[_own_dsir] - sums[_cross_dsir], (_cross_dsir, _own_dsir)),
}


def paired(
    chosen: Sequence[Metric], sources: np.ndarray, targets: np.ndarray, splits: np.ndarray, threads: int | None = None
) -> list[np.ndarray]:
    """Each metric of every source's half with every target's other half: float64 (R, n, m) each.

    sources, targets   float32 (n, n_folds, V), (m, n_folds, V)   counts
    splits             bool (R, n_folds)                          the folds that the sources are measured on
    threads            None: one a processor

    Corrected for sampling where the metric knows how, and within its range. Agrees with `compute` in float64
    within 1e-5, in the unit of the metric (measured on the shipped profiles: 2e-6 at most).
    """
    laws = [LAWS[metric.compute] for metric in chosen if metric.compute in LAWS]
    sums = _sums(laws, sources, targets, splits, threads or os.cpu_count() or 1) if laws else Sums()
    measured = []
    for metric in chosen:
        law = LAWS.get(metric.compute)
        values = law.value(sums) if law else _by_pairwise(metric, sources, targets, splits)
        measured.append(np.clip(values, metric.low, metric.high))
    return measured


def _sums(laws: list[Law], sources: np.ndarray, targets: np.ndarray, splits: np.ndarray, threads: int) -> Sums:
    """Every sum that these laws need."""
    products = tuple(dict.fromkeys(part for law in laws for part in law.products))
    pairs = tuple(dict.fromkeys(part for law in laws for part in law.pairs))
    first, second = splits.astype(np.float32), (~splits).astype(np.float32)
    sums = Sums()
    sums.V = sources.shape[2]
    sums.n_p = (first @ sources.sum(axis=2, dtype=np.float64).T)[:, :, None]
    sums.n_q = (second @ targets.sum(axis=2, dtype=np.float64).T)[:, None, :]
    first_shares = first[:, None, :] / sums.n_p.astype(np.float32)  # (R, n, n_folds): what makes counts shares
    second_shares = second[:, None, :] / sums.n_q.mT.astype(np.float32)
    tiles = list(_tiles(sources, targets))

    def of_block(block: slice) -> list[np.ndarray]:
        own = [0.0] * len(products) + [np.zeros((len(first[block]), len(sources), len(targets))) for _ in pairs]
        # (n, B, n_folds) by (n, n_folds, C): one product a source, its splits side by side
        left, right = first_shares[block].swapaxes(0, 1), second_shares[block].swapaxes(0, 1)
        for source_counts, target_counts, near in tiles:
            p, q = (left @ source_counts).swapaxes(0, 1), (right @ target_counts).swapaxes(0, 1)
            tile = Tile(p, q, near, sums.V)
            for k, product in enumerate(products):
                own[k] = own[k] + product(tile).astype(np.float64)
            for j, columns in enumerate(near if pairs else ()):
                of_target = Near(_take(p, columns), _take(q[:, j, None], columns))
                for k, pair in enumerate(pairs, len(products)):
                    own[k][:, :, j] += pair(of_target)
        return own

    blocks = [slice(start, start + TILE_SPLITS) for start in range(0, len(splits), TILE_SPLITS)]
    with ThreadPoolExecutor(threads) as pool:  # NumPy lets go of the interpreter lock
        done = list(pool.map(of_block, blocks))
    for part, of_blocks in zip((*products, *pairs), zip(*done, strict=True), strict=True):
        sums[part] = np.concatenate(of_blocks)
    return sums


def _tiles(sources: np.ndarray, targets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, list]]:
    """Counts by tile: sources (n, n_folds, C), targets (m, n_folds, C), near; entries that nobody has are left out.

    Entries are ordered by how many targets have them, so that those of one target lie together.
    """
    in_target = targets.any(axis=1)
    n_targets = in_target.sum(axis=0)
    seen = np.flatnonzero(n_targets + sources.any(axis=(0, 1)))
    seen = seen[np.argsort(-n_targets[seen], kind="stable")]
    for start in range(0, len(seen), TILE_COLUMNS):
        columns = seen[start : start + TILE_COLUMNS]
        near = [_picked(row) for row in in_target[:, columns]]
        yield sources.take(columns, axis=-1), targets.take(columns, axis=-1), near


def _picked(has: np.ndarray) -> np.ndarray | slice:
    return slice(None) if has.mean() > DENSE else np.flatnonzero(has)


def _take(x: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
    return x if isinstance(columns, slice) else x.take(columns, axis=-1)  # 5 times as fast as x[..., columns]


def _by_pairwise(metric: Metric, sources: np.ndarray, targets: np.ndarray, splits: np.ndarray) -> np.ndarray:
    values = []
    for split in splits:
        first, second = sources[:, split].sum(axis=1), targets[:, ~split].sum(axis=1)
        n_first, n_second = first.sum(axis=1), second.sum(axis=1)
        p, q = first / n_first[:, None], second / n_second[:, None]
        value = pairwise(metric, p, q, threads=1)
        if metric.bias is not None:
            value -= [metric.bias(p[i], q, n_first[i], n_second) for i in range(len(p))]
        values.append(value)
    return np.stack(values)
