"""Metrics of many pairs at once: sums over entries, and every row with every row (`splits` has half-splits of counts).

A metric's kernel is a formula over a few sums over the entries. All sums of all metrics are taken tile by tile while
the tile is in the cache, and metrics that use the same sum (the paper's score and cosine, say) share it. A metric
without a kernel is computed by its definition, pair by pair. To give one a kernel, write its formula beside its
definition in `metrics`, over the sums that stand here, or add a sum below.

Sums of f(p) g(q) are matrix products. Those that need every pair of entries (js, overlap) look only at the
entries that the target has, or that both have: elsewhere min(p, q) is 0, and p log p or q log q is all that there is
of the divergence.
"""

# R splits, B of them at a time; n sources, m targets; V entries of the distributions, C of them in a tile

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from simtool.threads import array_threads

TINY = 1e-30  # keeps logarithms off zero; far below the share of one token in any sample, so no value changes
ROW_COLUMNS = 4096  # of rows as they are; below the 10,000 from which OpenBLAS shares one dot product among threads
# Two temporaries a thread are of this size. np.vecdot keeps the interpreter lock (NumPy 2.4): two threads are
# 1.8 times as fast as one with tiles of 2 MB, but 1.2 times with 256 kB, though only those fit the L2 cache.
PAIR_BYTES = 1 << 21
# Where a target has more than this of the entries between its first and its last in a tile, picking them costs more
# than it saves: a logarithm takes 2.5 times as long
DENSE = 0.4
FREQUENT = 0.5  # bits in a tile from which products of them are taken in float64; few tiles have so many
WHOLE = 0.9  # of a tile: where all targets have so much of it, sums over what they lack need not be taken


class computed_once:
    """functools.cached_property without the lock that it has before Python 3.12, at which all threads wait in turn."""

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: object, owner: type | None = None) -> object:
        value = instance.__dict__[self.function.__name__] = self.function(instance)
        return value


@dataclass
class Tile:
    """Some entries of some splits.

    p, q      (B, n, C), (B, m, C)   shares of the sources and of the targets: float32, or float64 for rows as they are
              q is p, the same array, where rows are compared with themselves: what is taken of p then serves for q
    V         entries of the whole distributions
    support_of_all   `support` of all splits; None: as in the first split, looked for where a sum needs it
    in_p             bool (n, C): the entries of each source, where sums over pairs look at no others; None: they do
    """

    p: np.ndarray
    q: np.ndarray
    V: int
    support_of_all: Sequence[np.ndarray | slice] | None = None
    in_p: np.ndarray | None = None

    @computed_once
    def support(self) -> Sequence[np.ndarray | slice]:
        """For each target, which of the C entries it has; other entries have q = 0."""
        if self.support_of_all is not None:
            return self.support_of_all
        return [picked(row > 0) for row in self.q[0]]

    @computed_once
    def seen_p(self) -> np.ndarray:
        return (self.p > 0).astype(np.float32)

    @computed_once
    def seen_q(self) -> np.ndarray:
        return self.seen_p if self.q is self.p else (self.q > 0).astype(np.float32)

    @computed_once
    def log_p(self) -> np.ndarray:
        return _log2_above_0(self.p)

    @computed_once
    def log_q(self) -> np.ndarray:
        return self.log_p if self.q is self.p else _log2_above_0(self.q)

    @computed_once
    def root_p(self) -> np.ndarray:
        return np.sqrt(self.p).astype(np.float64, copy=False)

    @computed_once
    def root_q(self) -> np.ndarray:
        return self.root_p if self.q is self.p else np.sqrt(self.q).astype(np.float64, copy=False)

    @computed_once
    def p_single(self) -> np.ndarray:
        return self.p.astype(np.float32, copy=False)

    @computed_once
    def q_single(self) -> np.ndarray:
        return self.p_single if self.q is self.p else self.q.astype(np.float32, copy=False)

    @computed_once
    def q_above_0(self) -> np.ndarray:
        return self.q_single + np.float32(TINY)

    @computed_once
    def outside_p(self) -> np.ndarray:
        """float32 (n, C): 1 for the entries at which sums over pairs do not look as the source lacks them."""
        return np.zeros(self.p.shape[1:], np.float32) if self.in_p is None else (~self.in_p).astype(np.float32)

    @computed_once
    def outside_q(self) -> np.ndarray:
        """float32 (m, C): 1 for those outside of the target's support."""
        mask = np.ones(self.q.shape[1:], np.float32)
        for row, columns in zip(mask, self.support, strict=True):
            row[columns] = 0
        return mask


def _log2_above_0(x: np.ndarray) -> np.ndarray:
    above_0 = x + x.dtype.type(TINY)
    return np.log2(above_0, out=above_0)


class Pairs(ABC):
    """Sources or splits of a source, and a target, at entries that it has: B x rows, or B, by C' of them."""

    scratch: "Scratch"

    @property
    @abstractmethod
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """p (..., C') and q, (..., C') or (B, 1, C'), in the precision of the tile."""

    @property
    @abstractmethod
    def single(self) -> tuple[np.ndarray, np.ndarray]:
        """p and q in float32."""

    @property
    @abstractmethod
    def both(self) -> np.ndarray:
        """p + q in float32, TINY more."""

    @computed_once
    def share_of_q(self) -> np.ndarray:
        return np.divide(self.single[1], self.both, out=self.scratch("share", self.both.shape))


@dataclass
class RowPairs(Pairs):
    """Some sources and one target of a tile, at the entries that the target has."""

    tile: Tile
    rows: slice
    target: int
    scratch: "Scratch"

    def _at_support(self, of_sources: np.ndarray, of_targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = self.tile.support[self.target]
        return _take(of_sources[:, self.rows], columns), _take(of_targets[:, self.target, None], columns)

    @computed_once
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        return self._at_support(self.tile.p, self.tile.q)

    @computed_once
    def single(self) -> tuple[np.ndarray, np.ndarray]:
        in_single = self.tile.p_single is self.tile.p
        return self.exact if in_single else self._at_support(self.tile.p_single, self.tile.q_single)

    @computed_once
    def both(self) -> np.ndarray:
        p, q = self.single[0], _take(self.tile.q_above_0[:, self.target, None], self.tile.support[self.target])
        return np.add(p, q, out=self.scratch("both", p.shape))


class Scratch:
    """One thread's arrays by name, used again for every target; each fresh one of 2 MB has to be zeroed first."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """float32 of that shape; what it holds is lost at the next call of that name."""
        size = math.prod(shape)
        if name not in self._arrays or size > self._arrays[name].size:
            self._arrays[name] = np.empty(size, np.float32)
        return self._arrays[name][:size].reshape(shape)


Product = Callable[[Tile], np.ndarray]  # -> (B, n or 1, m or 1)
PairSum = Callable[[Pairs], np.ndarray]  # -> (B, rows), or (B,)


class Sums(dict):
    """Each sum by the function that gives its terms: float64 (R, n or 1, m or 1); and the sizes of the samples.

    n_p, n_q   float64 (R, n, 1), (R, 1, m)   symbols in each sample; None for rows as they are
    """

    V: int
    n_p: np.ndarray | None = None
    n_q: np.ndarray | None = None


@dataclass(frozen=True)
class Kernel:
    """A metric as a formula over sums.

    formula    formula(sums) -> float64 (R, n, m)
    products   the sums of f(p) g(q) that it needs
    pairs      the sums that it needs of every pair of entries
    """

    formula: Callable[[Sums], np.ndarray]
    products: tuple[Product, ...] = ()
    pairs: tuple[PairSum, ...] = ()


class Defined(Protocol):
    """What is used here of a metric (`metrics.Metric` has it): its definition, its kernels and its facts."""

    compute: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bias: Callable[..., np.ndarray] | None
    kernel: Kernel | None
    bias_kernel: Kernel | None
    symmetric: bool
    identity: float | None
    low: float
    high: float


# --- Sums of f(p) g(q) ---


def dot(tile: Tile) -> np.ndarray:
    return tile.p @ tile.q.mT


def square_p(tile: Tile) -> np.ndarray:
    return np.vecdot(tile.p, tile.p)[:, :, None]


def square_q(tile: Tile) -> np.ndarray:
    return np.vecdot(tile.q, tile.q)[:, None, :]


def root_distance(tile: Tile) -> np.ndarray:
    """Sum of (sqrt p - sqrt q)^2; in float64, so that it is exactly 0 for equal rows."""
    p, q = tile.root_p, tile.root_q
    return np.vecdot(p, p)[:, :, None] + np.vecdot(q, q)[:, None, :] - 2 * (p @ q.mT)


def n_both(tile: Tile) -> np.ndarray:
    return tile.seen_p @ tile.seen_q.mT


def n_p(tile: Tile) -> np.ndarray:
    return tile.seen_p.sum(axis=-1)[:, :, None]


def n_q(tile: Tile) -> np.ndarray:
    return tile.seen_q.sum(axis=-1)[:, None, :]


def n_q_of_source(tile: Tile) -> np.ndarray:
    """How many entries of the target sums over pairs look at."""
    return n_q(tile) - tile.outside_p @ tile.seen_q.mT if tile.outside_p.any() else n_q(tile)


def p_log_p(tile: Tile) -> np.ndarray:
    """Over the entries of each target: all less the others, as a product adds up in order, and in float32 the frequent
    entries would swallow the rest (js on half-splits was 5e-6 off)."""
    whole = np.vecdot(tile.p, tile.log_p)[:, :, None]
    if not tile.outside_q.any():
        return whole
    return whole - _terms(tile, whole, tile.p, tile.log_p) @ tile.outside_q.T


def q_log_q(tile: Tile) -> np.ndarray:
    """Over the entries of each source, where sums over pairs look at no others."""
    whole = np.vecdot(tile.q, tile.log_q)[:, None, :]
    if not tile.outside_p.any():
        return whole
    return whole - tile.outside_p @ _terms(tile, whole, tile.q, tile.log_q).mT


def _terms(tile: Tile, whole: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """x log x: in float64 where others lack frequent entries, which no slice leaves out (js was 2.8e-6 off)."""
    is_frequent = tile.in_p is not None and np.abs(whole).max() > FREQUENT
    return (x * log_x).astype(np.float64 if is_frequent else x.dtype, copy=False)


def smoothed_sums(smooth: Callable) -> tuple[Product, Product]:
    """Sums of q' log2(p' / floor) and of q' log2(q' / floor): p', smoothed (affinely), floor what an unseen has.

    Divided by the floor, unseen entries add nothing, and need not be looked at. Seen ones have up to 30 bits each, of
    which little is left when one sum is taken from the other; so the terms are float32 and the sums float64. Sums in
    float32 differed by 1e-5 bits from one BLAS to another.
    """

    def bits_over_floor(x: np.ndarray, V: int) -> np.ndarray:
        floor = smooth(0.0, V)
        ratio = x * x.dtype.type((smooth(1.0, V) - floor) / floor)
        ratio += 1
        return np.log2(ratio, out=ratio)

    def cross(tile: Tile) -> np.ndarray:
        return _in_float64(lambda bits, q: bits @ q.T, bits_over_floor(tile.p, tile.V), smooth(tile.q, tile.V))

    def own(tile: Tile) -> np.ndarray:
        return _in_float64(np.vecdot, bits_over_floor(tile.q, tile.V), smooth(tile.q, tile.V))[:, None, :]

    return cross, own


def weighted_by(value: Callable[[np.ndarray], np.ndarray]) -> Product:
    """Sum of value(p) q. An entry that p lacks adds nothing, so value(0) must be 0."""

    def product(tile: Tile) -> np.ndarray:
        return _in_float64(lambda values, q: values @ q.T, value(tile.p), tile.q)

    return product


def _in_float64(product: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Split by split, as the whole tile in float64 leaves the cache: 3 times as long."""
    return np.stack(
        [product(a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)) for a, b in zip(x, y, strict=True)]
    )


# --- Sums that need every pair ---


def both_log_both(pairs: Pairs) -> np.ndarray:
    """Sum of s log2 s with s = p + q: one logarithm a pair of entries, in float32."""
    logs = np.log2(pairs.both, out=pairs.scratch("logs", pairs.both.shape))
    return np.vecdot(pairs.both, logs)


def share_of_q(pairs: Pairs) -> np.ndarray:
    """Sum of q / (p + q)."""
    return _sum(pairs.share_of_q)


def harmonic(pairs: Pairs) -> np.ndarray:
    """Sum of p q / (p + q)."""
    return np.vecdot(pairs.single[0], pairs.share_of_q)


def smaller(pairs: Pairs) -> np.ndarray:
    """Sum of min(p, q)."""
    return _sum(np.minimum(*pairs.exact))


def _sum(x: np.ndarray) -> np.ndarray:
    return x @ np.ones(x.shape[-1], x.dtype)  # half the time of x.sum(axis=-1)


def picked(has: np.ndarray) -> np.ndarray | slice:
    """The entries that a target has, or all from the first to the last of them; bool (C,)."""
    columns = np.flatnonzero(has)
    first, last = (int(columns[0]), int(columns[-1])) if len(columns) else (0, -1)
    if len(columns) < DENSE * (last + 1 - first):
        return columns
    return slice(0, len(has)) if last + 1 - first > WHOLE * len(has) else slice(first, last + 1)


def _take(x: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
    # `take` is 5 times as fast as x[..., columns] with an array
    return x[..., columns] if isinstance(columns, slice) else x.take(columns, axis=-1)


# --- Every row with every row ---


def pairwise(metric: Defined, P: np.ndarray, Q: np.ndarray | None = None, threads: int | None = None) -> np.ndarray:
    """The metric of every row of P with every row of Q, as its definition gives it, in pieces that stay in the cache.

    Parameters
    ----------
    P, Q
        float (n, V), (m, V): distributions. Q None: P with itself, one triangle of it when the metric is symmetric.
    threads
        None: one per processor; matrix products use the BLAS library's own.

    Returns
    -------
    float64 (n, m). Memory beyond P, Q and the result: some 400 MB for 1,000 rows. Agrees with `compute` in float64
    within 2e-6 for js and token, which take logarithms in float32 (measured on Zipf-like distributions of 50,000
    entries: 1e-6 at most, 3e-7 in the root mean square), within 1e-7 for hellinger, and within 1e-12 for the others.
    """
    right = P if Q is None else Q
    if metric.kernel is None:
        values = np.stack([metric.compute(p, right) for p in P])
    else:
        triangle = Q is None and metric.symmetric
        sums = Sums()
        sums.V = P.shape[1]
        # products first: the threads of BLAS wait busily for a while, and would take the time of ours
        parts = [replace(metric.kernel, pairs=()), replace(metric.kernel, products=())]
        for part in parts if metric.kernel.pairs else parts[:1]:
            sums |= sum_tiles([part], [_row_tiles(P, right)], (1, len(P), len(right)), threads, triangle)
        values = metric.kernel.formula(sums)[0]
        if triangle:
            values = np.triu(values) + np.triu(values, 1).T
    if Q is None and metric.identity is not None:
        np.fill_diagonal(values, metric.identity)
    return np.clip(values, metric.low, metric.high, out=values)


def _row_tiles(P: np.ndarray, Q: np.ndarray) -> Iterator[Tile]:
    for start in range(0, P.shape[1], ROW_COLUMNS):
        p = P[None, :, start : start + ROW_COLUMNS].astype(np.float64, copy=False)
        q = p if Q is P else Q[None, :, start : start + ROW_COLUMNS].astype(np.float64, copy=False)
        yield Tile(p, q, P.shape[1])


# --- The sums of all tiles ---


def sum_tiles(
    kernels: Sequence[Kernel],
    blocks: Sequence[Iterable[Tile]],
    shape: tuple[int, int, int],
    threads: int | None,
    triangle: bool = False,
) -> Sums:
    """Every sum that the kernels need, each taken once.

    Parameters
    ----------
    blocks
        The tiles of each block of splits; the threads share the blocks, or where there is one only, the pairs.
    triangle
        Leave out the pairs of a source with an earlier target.
    """
    products = tuple(dict.fromkeys(term for kernel in kernels for term in kernel.products))
    pairs = tuple(dict.fromkeys(term for kernel in kernels for term in kernel.pairs))
    _, n, m = shape
    with array_threads(threads, 1 if len(blocks) > 1 else None) as pool:
        over_blocks, over_rows = (pool.map, map) if len(blocks) > 1 else (map, pool.map)

        def of_block(tiles: Iterable[Tile]) -> list[np.ndarray]:
            sums = [0.0] * len(products)
            pair_sums: list[np.ndarray] = []
            for tile in tiles:
                if not pair_sums:
                    pair_sums = [np.zeros((len(tile.p), m, n)) for _ in pairs]
                sums = [total + term(tile).astype(np.float64) for total, term in zip(sums, products, strict=True)]
                if pairs:
                    list(over_rows(lambda rows: add_pairs(tile, rows, pair_sums), _row_blocks(tile)))  # noqa: B023
            return [*sums, *(total.mT for total in pair_sums)]

        def add_pairs(tile: Tile, rows: slice, pair_sums: list[np.ndarray]) -> None:
            scratch = Scratch()
            for target in range(rows.start if triangle else 0, m):
                some = slice(rows.start, min(rows.stop, target + 1)) if triangle else rows
                of_target = RowPairs(tile, some, target, scratch)
                for total, term in zip(pair_sums, pairs, strict=True):
                    total[:, target, some] += term(of_target)

        of_blocks = list(over_blocks(of_block, blocks))
    sums = Sums()
    for term, parts in zip((*products, *pairs), zip(*of_blocks, strict=True), strict=True):
        sums[term] = np.concatenate(parts)
    return sums


def _row_blocks(tile: Tile) -> list[slice]:
    """Sources so many at a time that a temporary of float32 has PAIR_BYTES at most."""
    B, n, C = tile.p.shape
    rows = max(1, PAIR_BYTES // (4 * B * C))
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
