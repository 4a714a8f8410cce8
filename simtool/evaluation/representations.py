"""What a model holds of a text, layer by layer, and how alike two models' layers are: debiased linear CKA, distortion.

A probe is one token of a document, read behind an end-of-text token; the end-of-text token and padding are no probes.
The usual CKA of few probes is near 1 for any two representations, related or not; the debiased one is near 0 where
there is no relation. Tokens of one document are alike whatever the model: they are not compared with each other, and
intervals come from random halves of the documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simtool.errors import SimtoolError
from simtool.evaluation.loss import batched_windows, first_token, window_length
from simtool.statistics import half_sample_interval, random_halves
from simtool.tokens.store import TokenStore
from simtool.training.model import FromTransformers, GPTNeoX, load_model

# n probes, D and E widths of two representations, F folds, R resamples

FOLDS = 32  # of documents; halves of them are drawn
RESAMPLES = 400
FEWEST_DOCUMENTS = 4  # HSIC is of quadruples


# ---- hidden states ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hidden:
    """Hidden states of probe documents, in the store's order; arrays are read-only.

    layers      float32 (n, D) each   0: the embeddings; then behind every layer; the last behind the final norm,
                                      as transformers' `output_hidden_states`
    documents   int64 (n,)            which probe document a probe is of, rising from 0
    hashes      uint64 (n_documents,) which documents they are
    """

    corpus: str
    split: str
    layers: tuple[np.ndarray, ...]
    documents: np.ndarray
    hashes: np.ndarray

    def __post_init__(self) -> None:
        for array in (*self.layers, self.documents, self.hashes):
            array.flags.writeable = False

    @property
    def n_probes(self) -> int:
        return len(self.documents)


def hidden_states(
    model: Path | torch.nn.Module,
    store: TokenStore,
    documents: int | None = None,
    tokens_per_document: int = 64,
    sequence_length: int | None = None,
    device: str | torch.device = "cpu",
) -> Hidden:
    """Every layer of a model on the first tokens of the first documents of a store.

    Parameters
    ----------
    model : Path or torch.nn.Module
        A checkpoint, an export, any folder of transformers, or such a model.
    documents : int, optional
        How many; all where None.
    tokens_per_document : int
        So that a long document does not outweigh many short ones.
    sequence_length : int, optional
        What the model reads at most; for a folder, what its config allows.

    Raises
    ------
    SimtoolError
        When there is nothing to read, or the model's vocabulary is smaller than the tokenizer's.
    """
    if isinstance(model, str | Path):
        sequence_length = sequence_length or window_length(Path(model))
        model = load_model(Path(model)).to(device)
    if store.vocabulary_size > model.vocabulary_size:
        raise SimtoolError(
            f"{store.corpus} is tokenized under {store.tokenizer!r} with {store.vocabulary_size:,} entries, but the"
            f" model knows {model.vocabulary_size:,}. Tokenize it under the model's tokenizer."
        )
    n = store.n_documents if documents is None else min(documents, store.n_documents)
    # the end-of-text token takes one place
    most = min(tokens_per_document, (sequence_length or 2048) - 1)
    lengths = np.minimum(np.diff(store.offsets[: n + 1]), most)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if not starts[-1]:
        raise SimtoolError(f"{store.corpus} ({store.split}) holds no tokens to probe.")
    layers: list[np.ndarray] = []
    training = model.training
    model.eval()
    with torch.inference_mode():
        for batch in batched_windows(store, range(n), most, first_only=True):
            ids = np.full((len(batch), 1 + max(window.stop for window in batch)), first_token(store), np.int64)
            for row, window in enumerate(batch):
                ids[row, 1 : 1 + window.stop] = store.document(window.document)[: window.stop]
            # attention looks back only, so the padding behind a document changes nothing in it
            read = [layer.float().cpu().numpy() for layer in _layers(model, torch.from_numpy(ids).to(device))]
            if not layers:
                layers = [np.empty((starts[-1], layer.shape[-1]), np.float32) for layer in read]
            for states, layer in zip(layers, read, strict=True):
                for row, window in enumerate(batch):
                    at = starts[window.document]
                    states[at : at + window.stop] = layer[row, 1 : 1 + window.stop]
    model.train(training)
    return Hidden(
        store.corpus, store.split, tuple(layers), np.repeat(np.arange(n), lengths), np.array(store.hashes[:n])
    )


def _layers(model: Any, ids_BT: torch.Tensor) -> Sequence[torch.Tensor]:
    if isinstance(model, FromTransformers):
        return model.model.base_model(ids_BT, use_cache=False, output_hidden_states=True).hidden_states
    if not isinstance(model, GPTNeoX):
        raise SimtoolError(f"No layers are known of a {type(model).__name__}. Give a checkpoint or a folder.")
    body = model.gpt_neox
    seen: list[torch.Tensor] = []
    # the final norm stands for the last layer
    watched = [body.embed_in, *body.layers[:-1], body.final_layer_norm]
    hooks = [part.register_forward_hook(lambda part, inputs, output: seen.append(output)) for part in watched]
    try:
        body(ids_BT)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


# ---- CKA -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HsicSums:
    """All that the debiased HSIC of two representations needs to know of some documents; of two sets of them, add.

    Float64. For a document d with probes X_d (n_d, D) and Y_d (n_d, E): x_d and y_d are their sums, C_d = X_d'Y_d,
    k_d = |x_d|^2, l_d = |y_d|^2.
    """

    sizes: np.ndarray  # (4,)    sums of n_d, n_d^2, n_d^3, n_d^4
    x: np.ndarray  # (D,)        sum of x_d
    y: np.ndarray  # (E,)        sum of y_d
    cross: np.ndarray  # (D, E)  sum of C_d
    outer: np.ndarray  # (D, E)  sum of x_d y_d'
    cross_y: np.ndarray  # (D,)  sum of C_d y_d
    x_cross: np.ndarray  # (E,)  sum of C_d'x_d
    lx: np.ndarray  # (D,)       sum of l_d x_d
    ky: np.ndarray  # (E,)       sum of k_d y_d
    within: np.ndarray  # (5,)   sums of |C_d|^2, x_d'C_d y_d, k_d, l_d, k_d l_d


def hsic_sums(x: np.ndarray, y: np.ndarray, documents: np.ndarray) -> HsicSums:
    """The sums of probes x (n, D) and y (n, E), a document's side by side; documents (n,): which one each is of."""
    starts = np.flatnonzero(np.diff(documents, prepend=documents[0] - 1))
    sizes = np.diff(np.append(starts, len(documents)))
    sum_x, sum_y = np.add.reduceat(x, starts), np.add.reduceat(y, starts)
    k, l = np.einsum("nd,nd->n", sum_x, sum_x), np.einsum("nd,nd->n", sum_y, sum_y)  # noqa: E741
    cross_y, x_cross, squares, both = np.zeros(x.shape[1]), np.zeros(y.shape[1]), 0.0, 0.0
    for start, size in zip(starts, sizes, strict=True):
        part_x, part_y = x[start : start + size], y[start : start + size]
        gram_x, gram_y = part_x @ part_x.T, part_y @ part_y.T
        row_x, row_y = gram_x.sum(1), gram_y.sum(1)
        cross_y += part_x.T @ row_y
        x_cross += part_y.T @ row_x
        squares += (gram_x * gram_y).sum()
        both += row_x @ row_y
    within = np.array([squares, both, k.sum(), l.sum(), k @ l])
    return HsicSums(
        np.power(sizes[:, None].astype(float), [1, 2, 3, 4]).sum(0), x.sum(0), y.sum(0), x.T @ y, sum_x.T @ sum_y,
        cross_y, x_cross, l @ sum_x, k @ sum_y, within,
    )  # fmt: skip


def hsic(s: HsicSums) -> float:
    """The unbiased HSIC of linear kernels k, l over probes of different documents.

    E k(i, j) l(i, j) + E k(i, j) E l(q, r) - 2 E k(i, j) l(i, q), each the mean over all pairs, quadruples and triples
    of probes of as many documents. With one probe per document it is the estimator of Song et al. (2012), "Feature
    Selection via Dependence Maximization", JMLR 13, equation 4. Two tokens of one document are alike in both
    representations whatever these are: with their pairs counted, unrelated representations had .09 to .20.
    Sums over features (after Kornblith et al. 2019, arXiv:1905.00414), so that no n x n matrix is made.
    """
    n, n2, n3, n4 = s.sizes
    squares, both, k, l, kl = s.within  # noqa: E741
    pairs = (s.cross * s.cross).sum() - squares
    triples = s.x @ s.cross @ s.y - s.x @ s.cross_y - s.x_cross @ s.y - (s.outer * s.cross).sum() + 2 * both
    meeting = s.x @ s.outer @ s.y - s.x @ s.lx - s.y @ s.ky + kl  # of two pairs of documents, in one document
    same = (s.outer * s.outer).sum() - kl  # and in both
    quadruples = (s.x @ s.x - k) * (s.y @ s.y - l) - 4 * meeting + 2 * same
    n_pairs = n**2 - n2
    n_triples = n**3 - 3 * n * n2 + 2 * n3
    n_quadruples = n**4 - 6 * n**2 * n2 + 3 * n2**2 + 8 * n * n3 - 6 * n4
    return float(pairs / n_pairs + quadruples / n_quadruples - 2 * triples / n_triples)


def cka_of(between: HsicSums, of_x: HsicSums, of_y: HsicSums) -> float:
    """HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)), each by the unbiased estimator; 1 for X with itself.

    The ratio of unbiased estimates is itself not quite unbiased. With one probe per document Cauchy-Schwarz bounds it
    (Székely and Rizzo 2014, Annals of Statistics 42); else it may pass 1 by its error, and is cut there.
    """
    own_x, own_y = hsic(of_x), hsic(of_y)
    # what rounding leaves of a representation that does not vary
    least_x, least_y = (1e-12 * (np.trace(s.cross) / s.sizes[0]) ** 2 for s in (of_x, of_y))
    if not (own_x > least_x and own_y > least_y):
        raise SimtoolError("A representation hardly varies over the probes, so there is no CKA. Give other probes.")
    return float(np.clip(hsic(between) / np.sqrt(own_x * own_y), -1.0, 1.0))


def debiased_cka(x: np.ndarray, y: np.ndarray, documents: np.ndarray | None = None) -> float:
    """Debiased linear CKA of two representations of the same probes, x (n, D) and y (n, E).

    Blind to rotation, to one common scale and to a shift of either.

    Parameters
    ----------
    documents
        (n,), which document each probe is of; only probes of different documents are compared. None: each is its own.

    Raises
    ------
    SimtoolError
        Unless there are more probes than dimensions, of four documents at least: below that the estimate has no bias,
        but so much noise that it says nothing.
    """
    documents = np.arange(len(x)) if documents is None else np.asarray(documents)
    _check_probes(len(x), x.shape[1], y.shape[1], len(y))
    if (n_documents := len(np.unique(documents))) < FEWEST_DOCUMENTS:
        raise SimtoolError(f"CKA compares probes of {FEWEST_DOCUMENTS} documents at least. Got {n_documents}.")
    order = np.argsort(documents, kind="stable")
    # HSIC knows no shift; without it, large common parts would eat the digits
    x, y = ((side - side.mean(0))[order].astype(np.float64) for side in (x, y))
    return cka_of(*(hsic_sums(*pair, documents[order]) for pair in ((x, y), (x, x), (y, y))))


def _check_probes(n: int, width_x: int, width_y: int, n_y: int) -> None:
    if n != n_y:
        raise SimtoolError(f"CKA compares the same probes in two models. Got {n:,} and {n_y:,}.")
    if n <= max(width_x, width_y, 3):
        raise SimtoolError(
            f"CKA needs more probes than dimensions. Got {n:,} probes of {max(width_x, width_y):,} dimensions."
            " Give more documents, or more tokens of each."
        )


# ---- two models, layer by layer --------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerChange:
    """How a layer changed from one model to another, with 95% intervals over the choice of documents.

    cka          debiased linear CKA: 1, the same up to rotation and scale
    distortion   root mean square of (after - before) over root mean square of (before - its mean): the probes' own
                 way, relative to how far they lie apart. Ours; it is not blind to rotation, so it is for a model and
                 its own descendant.
    cka_draws, distortion_draws   float64 (R,): on half-samples; equal seeds and documents draw equal halves, so
                 that differences between runs are paired
    """

    layer: int
    cka: float
    cka_low: float
    cka_high: float
    distortion: float
    distortion_low: float
    distortion_high: float
    n_probes: int
    n_documents: int
    cka_draws: np.ndarray
    distortion_draws: np.ndarray


def layer_changes(before: Hidden, after: Hidden, resamples: int = RESAMPLES, seed: int = 0) -> list[LayerChange]:
    """Every layer of `before` against the same layer of `after`, both on the same documents.

    Only tokens of different documents are compared. Documents are dealt to folds; a half-sample is half of the folds,
    drawn without replacement: a document drawn twice would count as two that agree, and undo the debiasing. The spread
    of half-samples about the whole is the sampling error of the whole (McCarthy 1969, Review of the ISI 37), widened
    by Student's t.

    Raises
    ------
    SimtoolError
        When the probes or the layers are not the same, or fewer than twice the dimensions.
    """
    if not (np.array_equal(before.hashes, after.hashes) and np.array_equal(before.documents, after.documents)):
        raise SimtoolError("The two models read different probes. Give both the same documents and settings.")
    if len(before.layers) != len(after.layers):
        raise SimtoolError(
            f"The two models have {len(before.layers) - 1} and {len(after.layers) - 1} layers. Compare layers one by"
            " one with debiased_cka."
        )
    n_documents = len(before.hashes)
    if n_documents < 2 * FOLDS:
        raise SimtoolError(f"{n_documents} documents are too few for an interval. Give at least {2 * FOLDS}.")
    fold_of = np.empty(n_documents, np.int64)
    fold_of[np.argsort(before.hashes, kind="stable")] = np.arange(n_documents) % FOLDS
    halves = random_halves(FOLDS, resamples, np.random.default_rng(seed))
    folds = fold_of[before.documents]
    smallest = int((halves @ np.bincount(folds, minlength=FOLDS)).min())
    changes = []
    for layer, (x, y) in enumerate(zip(before.layers, after.layers, strict=True)):
        _check_probes(smallest, x.shape[1], y.shape[1], smallest)
        changes.append(
            _layer_change(layer, x.astype(np.float64), y.astype(np.float64), before.documents, folds, halves)
        )
    return changes


def _layer_change(
    layer: int, x: np.ndarray, y: np.ndarray, documents: np.ndarray, folds: np.ndarray, halves: np.ndarray
) -> LayerChange:
    moved = np.einsum("nd,nd->n", y - x, y - x)
    x, y = x - x.mean(0), y - y.mean(0)
    spread = np.einsum("nd,nd->n", x, x)
    stacked = [_sums_by_fold(*pair, documents, folds) for pair in ((x, y), (x, x), (y, y))]

    def cka(fold_weights: np.ndarray) -> float:
        return cka_of(
            *(
                HsicSums(**{name: np.tensordot(fold_weights, part, 1) for name, part in sums.items()})
                for sums in stacked
            )
        )

    weights = halves.astype(np.float64)
    of_fold = np.array([[values[folds == f].sum() for f in range(FOLDS)] for values in (moved, spread)])
    drawn = np.array([cka(half) for half in weights])
    distorted = np.sqrt((weights @ of_fold[0]) / (weights @ of_fold[1]))
    whole, distortion = cka(np.ones(FOLDS)), float(np.sqrt(moved.sum() / spread.sum()))
    low, high = half_sample_interval(drawn, FOLDS, whole)
    d_low, d_high = half_sample_interval(distorted, FOLDS, distortion)
    return LayerChange(
        layer, whole, max(float(low), -1.0), min(float(high), 1.0), distortion, max(float(d_low), 0.0), float(d_high),
        len(x), len(np.unique(documents)), drawn, distorted,
    )  # fmt: skip


def _sums_by_fold(x: np.ndarray, y: np.ndarray, documents: np.ndarray, folds: np.ndarray) -> dict[str, np.ndarray]:
    """Each of the sums, (FOLDS, ...)."""
    parts = [hsic_sums(x[folds == f], y[folds == f], documents[folds == f]) for f in range(FOLDS)]
    return {field: np.stack([getattr(part, field) for part in parts]) for field in HsicSums.__dataclass_fields__}
