"""What a model holds of a text, layer by layer, and how alike two models' layers are: debiased linear CKA, distortion.

A probe is one token of a document, read behind an end-of-text token; the end-of-text token and padding are no probes.
The usual CKA of few probes is near 1 for any two representations, related or not; the debiased one is near 0 where
there is no relation. Intervals come from random halves of the documents, because tokens of one document are alike.
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
class PairSums:
    """All that the debiased CKA of two representations needs to know of some probes; of two sets of probes, add.

    Sums over probes, float64; k = |x|^2 and l = |y|^2 of a probe, so that kx is the sum of k x.
    """

    n: np.ndarray  # ()
    x: np.ndarray  # (D,)
    y: np.ndarray  # (E,)
    xx: np.ndarray  # (D, D)
    yy: np.ndarray  # (E, E)
    xy: np.ndarray  # (D, E)
    kx: np.ndarray  # (D,)
    ly: np.ndarray  # (E,)
    lx: np.ndarray  # (D,)
    ky: np.ndarray  # (E,)
    kk: np.ndarray  # ()
    ll: np.ndarray  # ()
    kl: np.ndarray  # ()


def pair_sums(x: np.ndarray, y: np.ndarray) -> PairSums:
    """The sums of probes x (n, D) and y (n, E), in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    k, l = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)  # noqa: E741
    return PairSums(
        np.array(len(x), float), x.sum(0), y.sum(0), x.T @ x, y.T @ y, x.T @ y, k @ x, l @ y, l @ x, k @ y,
        k @ k, l @ l, k @ l,
    )  # fmt: skip


def _hsic(n: Any, cross: Any, x: Any, y: Any, lx: Any, ky: Any, kl: Any, sum_k: Any, sum_l: Any) -> float:
    """The unbiased HSIC of linear kernels from sums.

    Song et al. (2012), "Feature Selection via Dependence Maximization", JMLR 13, equation 4: with K and L the Gram
    matrices, their diagonals set to 0,
        HSIC = [tr(K L) + (1'K1) (1'L1) / ((n - 1) (n - 2)) - 2 / (n - 2) 1'K L1] / (n (n - 3)).
    For linear kernels tr(K L) = |X'Y|^2 - sum k l and so on, so that no n x n matrix is made (feature-space form,
    after Kornblith et al. 2019, arXiv:1905.00414; debiased use: Nguyen et al. 2021, arXiv:2010.15327).
    """
    trace = (cross * cross).sum() - kl
    both = x @ cross @ y - x @ lx - y @ ky + kl
    return (trace + (x @ x - sum_k) * (y @ y - sum_l) / ((n - 1) * (n - 2)) - 2 / (n - 2) * both) / (n * (n - 3))


def cka_of(sums: PairSums) -> float:
    """HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)), each by the unbiased estimator; in [-1, 1], 1 for X with itself.

    The estimator is an inner product of U-centred Gram matrices (Székely and Rizzo 2014, Annals of Statistics 42), so
    Cauchy-Schwarz bounds the ratio. The ratio of unbiased estimates is itself not quite unbiased.
    """
    s = sums
    sum_k, sum_l = np.trace(s.xx), np.trace(s.yy)
    between = _hsic(s.n, s.xy, s.x, s.y, s.lx, s.ky, s.kl, sum_k, sum_l)
    own_x = _hsic(s.n, s.xx, s.x, s.x, s.kx, s.kx, s.kk, sum_k, sum_k)
    own_y = _hsic(s.n, s.yy, s.y, s.y, s.ly, s.ly, s.ll, sum_l, sum_l)
    # what rounding leaves of a representation that does not vary
    least_x, least_y = (1e-12 * (t / s.n) ** 2 for t in (sum_k, sum_l))
    if not (own_x > least_x and own_y > least_y):
        raise SimtoolError("A representation hardly varies over the probes, so there is no CKA. Give other probes.")
    return float(np.clip(between / np.sqrt(own_x * own_y), -1.0, 1.0))  # by less than rounding


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Debiased linear CKA of two representations of the same probes, x (n, D) and y (n, E).

    Blind to rotation, to one common scale and to a shift of either.

    Raises
    ------
    SimtoolError
        Unless there are more probes than dimensions: below that the estimate has no bias, but so much noise that it
        says nothing.
    """
    _check_probes(len(x), x.shape[1], y.shape[1], len(y))
    # HSIC knows no shift; without it, large common parts would eat the digits
    return cka_of(pair_sums(x - x.mean(0), y - y.mean(0)))


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

    Documents are dealt to folds; a half-sample is half of the folds, drawn without replacement: a document drawn twice
    would count as two that agree, and undo the debiasing. The spread of half-samples about the whole is the sampling
    error of the whole (McCarthy 1969, Review of the ISI 37), widened by Student's t.

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
        changes.append(_layer_change(layer, x.astype(np.float64), y.astype(np.float64), folds, halves, n_documents))
    return changes


def _layer_change(
    layer: int, x: np.ndarray, y: np.ndarray, folds: np.ndarray, halves: np.ndarray, n_documents: int
) -> LayerChange:
    moved = np.einsum("nd,nd->n", y - x, y - x)
    x, y = x - x.mean(0), y - y.mean(0)
    spread = np.einsum("nd,nd->n", x, x)
    parts = [pair_sums(x[folds == f], y[folds == f]) for f in range(FOLDS)]
    stacked = {name: np.stack([getattr(part, name) for part in parts]) for name in PairSums.__dataclass_fields__}

    def cka(fold_weights: np.ndarray) -> float:
        return cka_of(PairSums(**{name: np.tensordot(fold_weights, sums, 1) for name, sums in stacked.items()}))

    weights = halves.astype(np.float64)
    of_fold = np.array([[values[folds == f].sum() for f in range(FOLDS)] for values in (moved, spread)])
    drawn = np.array([cka(half) for half in weights])
    distorted = np.sqrt((weights @ of_fold[0]) / (weights @ of_fold[1]))
    whole, distortion = cka(np.ones(FOLDS)), float(np.sqrt(moved.sum() / spread.sum()))
    low, high = half_sample_interval(drawn, FOLDS, whole)
    d_low, d_high = half_sample_interval(distorted, FOLDS, distortion)
    return LayerChange(
        layer, whole, max(float(low), -1.0), min(float(high), 1.0), distortion, max(float(d_low), 0.0), float(d_high),
        len(x), n_documents, drawn, distorted,
    )  # fmt: skip
