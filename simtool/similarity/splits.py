"""Metrics of every source with every target on many half-splits of their folds, by the kernels of metrics.

The shares of a split are a matrix product of its folds with the counts, tile by tile: some splits at some entries,
which the sums of `kernels` then read while they are in the cache.
"""

# R splits, B of them at a time; n sources, m targets; V entries of the distributions, C of them in a tile

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simtool.similarity.kernels import Defined, Kernel, Sums, Tile, picked, sum_tiles

# Small enough for the cache; half or twice as much of either cost the same within 20%. Fewer splits at a time read the
# counts, which are not in the cache, more often: with 8 of 1,024 entries it takes 7% longer. The threads are ours, and
# BLAS has one for each: from some 30 corpora on it would share the product of a tile among threads of its own.
TILE_COLUMNS = 512
TILE_SPLITS = 13


@dataclass(frozen=True)
class FoldCounts:
    """Counts of sources and targets by fold; the entries are those that anybody has, in `fast_order`.

    sources     float32 (n, n_folds, V)
    held_out    float32 (c, n_folds, V)   what the last c sources have besides, measured on the folds of the targets
    targets     float32 (m, n_folds, V)
    in_target   bool (m, V)               which entries each target has
    sizes       float64 (n, n_folds), (c, n_folds), (m, n_folds)   sums over the entries
    dimension   entries of the feature in all
    """

    sources: np.ndarray
    held_out: np.ndarray
    targets: np.ndarray
    in_target: np.ndarray
    sizes: tuple[np.ndarray, np.ndarray, np.ndarray]
    dimension: int

    @classmethod
    def of(cls, sources: np.ndarray, targets: np.ndarray) -> "FoldCounts":
        """Of counts in any order, without held-out parts."""
        in_target = targets.any(axis=1)
        order = fast_order(in_target, sources.any(axis=(0, 1)))
        counts = [of.take(order, axis=-1) for of in (sources, targets[:0], targets)]
        sizes = tuple(of.sum(axis=2, dtype=np.float64) for of in counts)
        return cls(*counts, in_target[:, order], sizes, sources.shape[2])

    @property
    def with_held_out(self) -> slice:
        """The sources that have a held-out part."""
        return slice(len(self.sources) - len(self.held_out), len(self.sources))

    @property
    def sizes_of_sources(self) -> np.ndarray:
        """float64 (n, n_folds): with their held-out parts."""
        sizes = self.sizes[0].copy()
        sizes[self.with_held_out] += self.sizes[1]
        return sizes

    def tiles(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray | slice]]]:
        """Sources, held-out parts and targets at TILE_COLUMNS entries, and the targets' support among these."""
        for start in range(0, self.in_target.shape[1], TILE_COLUMNS):
            some = slice(start, start + TILE_COLUMNS)
            support = [picked(has) for has in self.in_target[:, some]]
            yield self.sources[..., some], self.held_out[..., some], self.targets[..., some], support


def fast_order(in_target: np.ndarray, in_source: np.ndarray) -> np.ndarray:
    """The entries that anybody has, those of each target next to each other as far as may be: a tile takes a slice.

    Sets of targets come in the order of a Gray code: from each to the next, one target joins or leaves.

    Parameters
    ----------
    in_target, in_source
        bool (m, V), (V,): which entries each target has, and any source.
    """
    seen = np.flatnonzero(in_source | in_target.any(axis=0))
    place = np.logical_xor.accumulate(~in_target[:, seen], axis=0)
    return seen[np.lexsort(np.packbits(place, axis=0)[::-1])]


def on_splits(
    metrics: Sequence[Defined],
    sources: np.ndarray,
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray | None = None,
    threads: int | None = None,
) -> list[np.ndarray]:
    """Each metric of every source on some folds with every target on others, corrected for sampling where it knows how.

    Parameters
    ----------
    sources, targets
        float32 (n, n_folds, V), (m, n_folds, V): counts; the two may have different folds where `second` is given.
    first, second
        bool (R, n_folds): the folds that the sources, and the targets, are measured on (None: the other ones).
    threads
        None: one per processor.

    Returns
    -------
    For each metric float64 (R, n, m), within its range. Agrees with `compute` in float64 within 1e-5, in the unit of
    the metric (measured on the shipped profiles: 2e-6 at most).
    """
    return of_counts(metrics, FoldCounts.of(sources, targets), first, ~first if second is None else second, threads)


def of_counts(
    metrics: Sequence[Defined], counts: FoldCounts, first: np.ndarray, second: np.ndarray, threads: int | None = None
) -> list[np.ndarray]:
    """As `on_splits`, of counts that are in order already."""
    kernels = [kernel for metric in metrics for kernel in (metric.kernel, metric.bias_kernel) if kernel]
    sums = _sums_on_splits(kernels, counts, first, second, threads) if kernels else Sums()
    values = []
    for metric in metrics:
        if metric.kernel is None:
            value = _by_definition(metric, counts, first, second)
        else:
            value = metric.kernel.formula(sums)
            if metric.bias_kernel is not None:
                value = value - metric.bias_kernel.formula(sums)
        values.append(np.clip(value, metric.low, metric.high))
    return values


def _sums_on_splits(
    kernels: Sequence[Kernel], counts: FoldCounts, first: np.ndarray, second: np.ndarray, threads: int | None
) -> Sums:
    first, second = first.astype(np.float32), second.astype(np.float32)
    in_sources, in_held_out, in_targets = counts.sizes
    n_p, n_q = first @ in_sources.T, second @ in_targets.T
    n_p[:, counts.with_held_out] += second @ in_held_out.T
    # (n, R, n_folds): what makes counts shares; a product per source, its splits side by side
    of_p, of_q = ((of / n.T[:, :, None]).astype(np.float32) for of, n in ((first, n_p), (second, n_q)))
    of_held_out = (second / n_p.T[counts.with_held_out, :, None]).astype(np.float32)
    tiles = list(counts.tiles())

    def of_block(block: slice) -> Iterator[Tile]:
        for sources, held_out, targets, support in tiles:
            p, q = _shares(of_p[:, block], sources), _shares(of_q[:, block], targets)
            p[:, counts.with_held_out] += (of_held_out[:, block] @ held_out).swapaxes(0, 1)
            yield Tile(p, q, counts.dimension, support)

    blocks = [of_block(block) for block in _even_blocks(len(first), TILE_SPLITS)]
    sums = sum_tiles(kernels, blocks, (len(first), n_p.shape[1], n_q.shape[1]), threads)
    sums.V, sums.n_p, sums.n_q = counts.dimension, n_p[:, :, None], n_q[:, None, :]
    return sums


def _shares(of_folds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n, B, n_folds) and (n, n_folds, C) -> (B, n, C), in this order in memory, as sums over pairs read it."""
    shares = np.empty((of_folds.shape[1], len(counts), counts.shape[2]), np.float32)
    np.matmul(of_folds, counts, out=shares.swapaxes(0, 1))
    return shares


def _even_blocks(n: int, size: int) -> list[slice]:
    """n splits in blocks of at most `size`, as even as may be: the threads end together."""
    n_blocks = -(-n // size)
    return [slice(n * k // n_blocks, n * (k + 1) // n_blocks) for k in range(n_blocks)]


def _by_definition(metric: Defined, counts: FoldCounts, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Split by split and source by source: float64 (R, n, m)."""
    values = np.empty((len(first), len(counts.sources), len(counts.targets)))
    unseen = [(0, 0), (0, counts.dimension - counts.in_target.shape[1])]
    for r, (of_sources, of_targets) in enumerate(zip(first, second, strict=True)):
        left, right = counts.sources[:, of_sources].sum(axis=1), counts.targets[:, of_targets].sum(axis=1)
        left[counts.with_held_out] += counts.held_out[:, of_targets].sum(axis=1)
        left, right = np.pad(left, unseen), np.pad(right, unseen)
        n_left, n_right = left.sum(axis=1), right.sum(axis=1)
        q = right / n_right[:, None]
        for i, p in enumerate(left / n_left[:, None]):
            bias = metric.bias(p, q, n_left[i], n_right) if metric.bias else 0.0
            values[r, i] = metric.compute(p, q) - bias
    return values
