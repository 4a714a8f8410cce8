"""Metrics of every source with every target on many half-splits of their folds, by the kernels of metrics.

The shares of a split are a matrix product of its folds with the counts, tile by tile: some splits at some entries,
which the sums of `kernels` then read while they are in the cache. For sums that need every pair they are such a product
for each pair anew, at the entries that both have: of two corpora of 50 a sixth, and to pick their shares takes longer.
"""

# R splits, B of them at a time; n sources, m targets; V entries of the distributions, C of them in a tile

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simtool.similarity.kernels import (
    TINY,
    Defined,
    Kernel,
    Pairs,
    PairSum,
    Scratch,
    Sums,
    Tile,
    computed_once,
    picked,
    sum_tiles,
)
from simtool.threads import array_threads

# Small enough for the cache; half or twice as much of either cost the same within 20%. Fewer splits at a time read the
# counts, which are not in the cache, more often: with 8 of 1,024 entries it takes 7% longer. The threads are ours, and
# BLAS has one for each: from some 30 corpora on it would share the product of a tile among threads of its own.
TILE_COLUMNS = 512
TILE_SPLITS = 13
# From so many targets and splits on, the shares of each pair are taken anew at the entries that both have. Of fewer
# targets, most have their entries next to each other in a tile; of fewer splits, it takes longer to pick their counts.
# A matrix of 50 corpora takes 0.8 times as long, half-splits of 8 as long, and 10 targets with 10 splits twice as long.
PAIRED_TARGETS = 16
PAIRED_SPLITS = 100
# Entries of a pair at a time, summed in float32, where the frequent swallow the rest: js was 1.5e-5 off with 6,553
PAIR_COLUMNS = 512


@dataclass(frozen=True)
class FoldCounts:
    """Counts of sources and targets by fold; the entries are those that anybody has, in `fast_order` where it
    matters.

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
        in_target, in_source = targets.any(axis=1), sources.any(axis=(0, 1))
        counts = sources, targets[:0], targets
        if len(targets) < PAIRED_TARGETS or not (in_source | in_target.any(axis=0)).all():
            order = fast_order(in_target, in_source)
            in_target, counts = in_target[:, order], [of.take(order, axis=-1) for of in counts]
        sizes = tuple(of.sum(axis=2, dtype=np.float64) for of in counts)
        return cls(*counts, in_target, sizes, sources.shape[2])

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

    @cached_property
    def in_source(self) -> np.ndarray:
        """bool (n, V): which entries each source has."""
        has = self.sources.any(axis=1)
        has[self.with_held_out] |= self.held_out.any(axis=1)
        return has

    def tiles(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Sources, held-out parts, targets, and which entries sources and targets have, at TILE_COLUMNS entries."""
        for start in range(0, self.in_target.shape[1], TILE_COLUMNS):
            some = slice(start, start + TILE_COLUMNS)
            yield tuple(
                of[..., some] for of in (self.sources, self.held_out, self.targets, self.in_source, self.in_target)
            )


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


@dataclass(frozen=True)
class FoldShares:
    """What makes the counts of folds shares of splits: a product per corpus, its splits side by side.

    of_sources, of_held_out, of_targets   float32 (n, R, n_folds), (c, R, n_folds), (m, R, n_folds)
    """

    of_sources: np.ndarray
    of_held_out: np.ndarray
    of_targets: np.ndarray


def _sums_on_splits(
    kernels: Sequence[Kernel], counts: FoldCounts, first: np.ndarray, second: np.ndarray, threads: int | None
) -> Sums:
    first, second = first.astype(np.float32), second.astype(np.float32)
    in_sources, in_held_out, in_targets = counts.sizes
    n_p, n_q = first @ in_sources.T, second @ in_targets.T
    n_p[:, counts.with_held_out] += second @ in_held_out.T
    sides = (first, n_p), (second, n_p[:, counts.with_held_out]), (second, n_q)
    shares = FoldShares(*((side / n.T[:, :, None]).astype(np.float32) for side, n in sides))
    by_pair = len(counts.targets) >= PAIRED_TARGETS and len(first) >= PAIRED_SPLITS
    tiles = [(*of, in_target if by_pair else list(map(picked, in_target))) for *of, in_target in counts.tiles()]

    def of_block(block: slice) -> Iterator[Tile]:
        for sources, held_out, targets, in_source, support in tiles:
            p, q = _shares(shares.of_sources[:, block], sources), _shares(shares.of_targets[:, block], targets)
            p[:, counts.with_held_out] += (shares.of_held_out[:, block] @ held_out).swapaxes(0, 1)
            yield Tile(p, q, counts.dimension, support, in_source if by_pair else None)

    blocks = [of_block(block) for block in _even_blocks(len(first), TILE_SPLITS)]
    of_tiles = [replace(kernel, pairs=()) for kernel in kernels] if by_pair else kernels
    sums = sum_tiles(of_tiles, blocks, (len(first), n_p.shape[1], n_q.shape[1]), threads)
    if by_pair:
        sums |= sum_pairs(kernels, counts, shares, threads)
    sums.V, sums.n_p, sums.n_q = counts.dimension, n_p[:, :, None], n_q[:, None, :]
    return sums


@dataclass
class SplitPairs(Pairs):
    """Splits of a source and a target at C' entries that both have in any split.

    of_folds   float32 (R, K)    what makes the counts of K folds shares; the last is TINY
    counts     float32 (K, C')   by fold; the last is 1. Folds of the source and of the target alternate, so that p + q
                                 is the same bits where both halves change sides
    source, target   which of the K are of either
    """

    of_folds: np.ndarray
    counts: np.ndarray
    source: np.ndarray
    target: np.ndarray
    scratch: Scratch

    def _product(self, name: str, of_folds: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return np.matmul(of_folds, counts, out=self.scratch(name, (len(of_folds), counts.shape[1])))

    @computed_once
    def single(self) -> tuple[np.ndarray, np.ndarray]:
        """p and q: (R, C')."""
        sides = ("p", self.source), ("q", self.target)
        return tuple(self._product(name, self.of_folds[:, side], self.counts[side]) for name, side in sides)

    @property
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        return self.single

    @computed_once
    def both(self) -> np.ndarray:
        return self._product("both", self.of_folds, self.counts)


def sum_pairs(
    kernels: Sequence[Kernel], counts: FoldCounts, shares: FoldShares, threads: int | None
) -> dict[PairSum, np.ndarray]:
    """Every sum that needs every pair: float64 (R, n, m). The threads share the sources."""
    terms = tuple(dict.fromkeys(term for kernel in kernels for term in kernel.pairs))
    n, m = len(counts.sources), len(counts.targets)
    totals = np.zeros((len(terms), n, m, shares.of_sources.shape[1]))

    def of_source(i: int) -> None:
        scratch = Scratch()
        for j in range(m):
            for pairs in _pairs(i, j, counts, shares, scratch):
                for total, term in zip(totals[:, i, j], terms, strict=True):
                    total += term(pairs)

    if terms:
        with array_threads(threads) as pool:
            list(pool.map(of_source, range(n)))
    return dict(zip(terms, totals.transpose(0, 3, 1, 2), strict=True))


def _pairs(i: int, j: int, counts: FoldCounts, shares: FoldShares, scratch: Scratch) -> Iterator[SplitPairs]:
    """All entries that a source and a target have, PAIR_COLUMNS at a time."""
    parts = [(shares.of_sources[i], counts.sources[i]), (shares.of_targets[j], counts.targets[j])]
    held_out = i - counts.with_held_out.start
    if held_out >= 0:
        parts.append((shares.of_held_out[held_out], counts.held_out[held_out]))
    order = np.argsort(np.concatenate([np.arange(len(of)) for _, of in parts]), kind="stable")
    part = np.repeat(np.arange(len(parts)), [len(of) for _, of in parts])[order]
    R = len(parts[0][0])
    of_folds = np.hstack([np.hstack([of for of, _ in parts])[:, order], np.full((R, 1), TINY, np.float32)])
    sides = np.flatnonzero(part != 1), np.flatnonzero(part == 1)
    entries = np.flatnonzero(counts.in_source[i] & counts.in_target[j])
    for start in range(0, len(entries), PAIR_COLUMNS):
        some = entries[start : start + PAIR_COLUMNS]
        by_fold = np.ones((len(part) + 1, len(some)), np.float32)
        for k, (_, of) in enumerate(parts):
            by_fold[:-1][part == k] = of.take(some, axis=1)
        yield SplitPairs(of_folds, by_fold, *sides, scratch)


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
