"""Do two losses pull a model the same way, and what does the way that fine-tuning took cost the general loss?

Alignment: the inner product and cosine of two losses' gradients at one model. Each gradient is measured on a sample of
documents, and the squared length of a measured gradient is too large by its own noise, which makes the plain cosine
too small. Documents are dealt to folds, and squared lengths are taken between different folds only.

Forgetting: the general loss after fine-tuning minus before. Along the steps theta_0 .. theta_T that were really made,
    forgetting = sum_t <g(theta_t), theta_{t+1} - theta_t> + remainder,    g the gradient of the general loss.
The sum is the first-order term; the remainder is all that the general loss curves on the way.

What is the paper's and what is ours. arXiv:2510.14865 (v2, section 2.3) bounds forgetting by minus the summed inner
products of the general and the target gradient, plus a term that grows with the target loss at the start of SFT.
For plain gradient descent such a bound follows from the descent lemma (Nesterov 2018, lemma 1.2.3): the update is -lr
times the target gradient, and a general loss of smoothness B has a remainder of at most B/2 times the summed squared
updates, which in turn are at most proportional to how far the target loss can fall. Our SFT clips its gradients and is
done by AdamW, whose updates are not multiples of the gradient, and B is not known. So nothing here is a bound: the
first-order term is that sum with the updates that were made, the remainder is measured, not bounded, and
`curvature` is the smoothness that the run at least has, on average over its steps.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simtool.errors import SimtoolError
from simtool.evaluation.loss import LossOn, batched_windows, read_windows
from simtool.statistics import jackknife_interval
from simtool.tokens.store import TokenStore
from simtool.training.losses import chunked_cross_entropy
from simtool.training.model import load_model

# F folds, G groups of parameters

FOLDS = 16
OVERALL = "all"


def fold_gradients(
    model: Any, store: TokenStore, folds: Sequence[np.ndarray], sequence_length: int, loss_on: LossOn = "text"
) -> tuple[list[dict[str, torch.Tensor]], np.ndarray, np.ndarray]:
    """Of every fold of documents, the gradient of its summed loss.

    The loss is that of `evaluate`: each document behind an end-of-text token, which itself is not predicted. (SFT
    trains on that token too.) The model's own `.grad` is not touched. Memory: F times the model.

    Returns
    -------
    gradients : list of dict
        {parameter: its gradient} of each fold.
    nats : float64 (F,)
    tokens : int64 (F,)
        Tokens that the loss was taken on.
    """
    named = dict(model.named_parameters())
    device = next(iter(named.values())).device
    gradients, nats, tokens = [], np.zeros(len(folds)), np.zeros(len(folds), np.int64)
    training = model.training
    model.eval()
    for f, documents in enumerate(folds):
        total = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        for batch in batched_windows(store, documents.tolist(), sequence_length):
            ids, targets = (torch.from_numpy(array).to(device) for array in read_windows(store, batch, loss_on))
            with torch.enable_grad():
                loss, cross_entropy = chunked_cross_entropy(model.hidden(ids), model.head, targets)
                # what the loss does not reach has no gradient
                of_batch = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            for name, gradient in zip(named, of_batch, strict=True):
                if gradient is not None:
                    total[name] += gradient
            nats[f] += float(cross_entropy)
            tokens[f] += int((targets >= 0).sum())
        gradients.append(total)
    model.train(training)
    if not (tokens > 0).all():
        raise SimtoolError(
            f"A fold of {store.corpus} ({store.split}) has no {loss_on} to take a gradient of. Give more documents."
        )
    return gradients, nats, tokens


def deal(store: TokenStore, n_folds: int = FOLDS, documents: int | None = None) -> list[np.ndarray]:
    """The first documents of a store in folds of equal number, by their hashes, whatever their order.

    Raises
    ------
    SimtoolError
        When there are fewer than two a fold.
    """
    n = store.n_documents if documents is None else min(documents, store.n_documents)
    if n < 2 * n_folds:
        raise SimtoolError(
            f"{store.corpus} ({store.split}) gives {n} documents for {n_folds} folds. Give at least {2 * n_folds}."
        )
    order = np.argsort(store.hashes[:n], kind="stable")
    return [np.sort(order[f::n_folds]) for f in range(n_folds)]


def group_of(parameter: str) -> str:
    """The group of a parameter by its name: its layer, counted from 1 as in hidden states, or what it is of."""
    inside = re.search(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.", parameter)
    if inside:
        return f"layer {int(inside[1]) + 1}"
    return parameter.removesuffix(".weight").removesuffix(".bias").rsplit(".", 1)[-1]


# ---- alignment -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alignment:
    """Two gradients in one group of parameters, with 95% intervals over the choice of documents.

    inner     nats per token, squared, over parameters squared: by how much a small step down one loss lowers the other
    cosine    of the two expected gradients; None where noise leaves no length to either. The estimate can leave
              [-1, 1] by its noise, and is not pushed back.
    plain     the cosine of the measured gradients, noise and all: nearer to 0 than the cosine
    """

    group: str
    inner: float
    inner_low: float
    inner_high: float
    cosine: float | None
    cosine_low: float | None
    cosine_high: float | None
    plain: float
    n_parameters: int


def gradient_alignment(
    model: Path | torch.nn.Module,
    first: TokenStore,
    second: TokenStore,
    sequence_length: int,
    loss_on: tuple[LossOn, LossOn] = ("text", "text"),
    documents: int | None = None,
    device: str = "cpu",
) -> list[Alignment]:
    """How the gradients of a model's loss on two stores lie to each other: overall, then by group of parameters.

    Parameters
    ----------
    first, second : TokenStore
        No document may be in both: their gradients' noise must be independent for the product to have no bias.
    loss_on : pair of str
        What is measured in each: "response" for an SFT set.
    documents : int, optional
        Only the first so many of each.

    Raises
    ------
    SimtoolError
        When the stores have documents in common, or too few.
    """
    model = load_model(Path(model)).to(device) if isinstance(model, str | Path) else model
    folds = [deal(store, FOLDS, documents) for store in (first, second)]
    stores = (first, second)
    hashes = [set(store.hashes[np.concatenate(parts)].tolist()) for store, parts in zip(stores, folds, strict=True)]
    if common := hashes[0] & hashes[1]:
        raise SimtoolError(
            f"{first.corpus} ({first.split}) and {second.corpus} ({second.split}) have {len(common):,} documents in"
            " common, whose noise would count as alignment. Give stores apart."
        )
    measured = [
        fold_gradients(model, store, parts, sequence_length, part)
        for store, parts, part in zip(stores, folds, loss_on, strict=True)
    ]
    gradients = measured[0][0] + measured[1][0]
    tokens = np.concatenate([n_tokens for _, _, n_tokens in measured])
    groups: dict[str, list[str]] = {OVERALL: list(gradients[0])}
    for name in gradients[0]:
        groups.setdefault(group_of(name), []).append(name)
    grams = {name: _gram([gradient[name] for gradient in gradients]) for name in gradients[0]}
    sizes = {name: parameter.numel() for name, parameter in gradients[0].items()}
    return [
        aligned(group, sum(grams[name] for name in names), tokens, sum(sizes[name] for name in names))
        for group, names in groups.items()
    ]


def _gram(parts: Sequence[torch.Tensor]) -> np.ndarray:
    flat = torch.stack([part.flatten() for part in parts]).double()
    return (flat @ flat.T).cpu().numpy()


def aligned(group: str, gram: np.ndarray, tokens: np.ndarray, n_parameters: int = 0) -> Alignment:
    """The alignment from inner products of summed gradients: the folds of one loss, then as many of the other.

    Parameters
    ----------
    gram : float64 (2F, 2F)
    tokens : int64 (2F,)
        Of each fold: divided by once.

    Notes
    -----
    Intervals are delete-one jackknives over the folds of either loss, their variances added (two-sample jackknife;
    Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 3), with Student's t. Where noise
    outweighs length the jackknife's variance is too large, not too small (Efron and Stein 1981, Annals of
    Statistics 9): such intervals are wide.
    """
    n_folds = len(tokens) // 2
    n = tokens.astype(np.float64)
    is_first = np.arange(2 * n_folds) < n_folds

    def estimates(used: np.ndarray) -> tuple[float, float]:
        a, b = used & is_first, used & ~is_first
        inner = gram[np.ix_(a, b)].sum() / (n[a].sum() * n[b].sum())
        squares = [_without_diagonal(gram, part) / _without_diagonal(np.outer(n, n), part) for part in (a, b)]
        cosine = inner / np.sqrt(squares[0] * squares[1]) if min(squares) > 0 else np.nan
        return inner, cosine

    everything = np.ones(2 * n_folds, bool)
    whole = np.array(estimates(everything))
    left = np.array([estimates(everything & (np.arange(2 * n_folds) != f)) for f in range(2 * n_folds)])
    halves = left[:n_folds], left[n_folds:]
    low, high = jackknife_interval(whole, *halves)
    inner, cosine = zip(whole.tolist(), low.tolist(), high.tolist(), strict=True)
    first, second = is_first, ~is_first
    lengths = gram[np.ix_(first, first)].sum() * gram[np.ix_(second, second)].sum()
    plain = gram[np.ix_(first, second)].sum() / np.sqrt(lengths) if lengths > 0 else 0.0
    # where leaving a fold out leaves no length, there is no interval, and so no value
    known = cosine if np.isfinite(cosine).all() else (None, None, None)
    return Alignment(group, *inner, *known, float(plain), n_parameters)


def _without_diagonal(gram: np.ndarray, part: np.ndarray) -> float:
    block = gram[np.ix_(part, part)]
    return float(block.sum() - np.trace(block))


# ---- forgetting ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgetting:
    """Forgetting along a path and its first-order term, nats per token, with 95% intervals over the general documents.

    remainder   forgetting - first_order
    path        summed squared lengths of the updates, parameters squared
    curvature   2 remainder / path: a smoothness below which no bound of this form could hold on this run; below 0
                where the loss bent down
    """

    forgetting: float
    forgetting_low: float
    forgetting_high: float
    first_order: float
    first_order_low: float
    first_order_high: float
    remainder: float
    remainder_low: float
    remainder_high: float
    loss_before: float
    path: float
    n_steps: int

    @property
    def curvature(self) -> float | None:
        return 2 * self.remainder / self.path if self.path else None


@dataclass
class ForgettingMeter:
    """Sees a model at every point of its fine-tuning, in order, and adds up what each update costs the general loss.

    store       general text that training did not read
    documents   only the first so many: every point seen costs one pass forward and back over them
    """

    store: TokenStore
    sequence_length: int
    loss_on: LossOn = "text"
    documents: int | None = None
    n_points: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._folds = deal(self.store, FOLDS, self.documents)
        self._first = np.zeros(FOLDS)
        self._path = 0.0

    def see(self, model: Any) -> None:
        gradients, nats, tokens = fold_gradients(model, self.store, self._folds, self.sequence_length, self.loss_on)
        now = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        if self.n_points == 0:
            self._nats_before, self._tokens = nats, tokens
        else:
            moved = {name: (now[name] - before).double() for name, before in self._where.items()}
            self._path += sum(float(update.square().sum()) for update in moved.values())
            for f, gradient in enumerate(self._gradients):
                self._first[f] += sum(float((gradient[name].double() * update).sum()) for name, update in moved.items())
        self._gradients, self._where, self._nats = gradients, now, nats
        self.n_points += 1

    def result(self) -> Forgetting:
        """What the points that were seen say of forgetting, with intervals over folds.

        Raises
        ------
        SimtoolError
            When fewer than two points were seen.
        """
        if self.n_points < 2:
            raise SimtoolError(f"Forgetting needs a model before and one after. Seen: {self.n_points}.")
        change = self._nats - self._nats_before
        values = {}
        for name, sums in (
            ("forgetting", change),
            ("first_order", self._first),
            ("remainder", change - self._first),
        ):
            values[name], values[f"{name}_low"], values[f"{name}_high"] = _mean_over_folds(sums, self._tokens)
        before = float(self._nats_before.sum() / self._tokens.sum())
        return Forgetting(**values, loss_before=before, path=self._path, n_steps=self.n_points - 1)


def forgetting_along(
    points: Iterable[Path | torch.nn.Module],
    store: TokenStore,
    sequence_length: int,
    loss_on: LossOn = "text",
    documents: int | None = None,
) -> Forgetting:
    """Forgetting along checkpoints or models in the order of training.

    Two points, before and after, are one great step; the more there are between, the nearer the first-order term
    comes to the whole of forgetting. With the model after every update it is that of the steps that were made.
    """
    meter = ForgettingMeter(store, sequence_length, loss_on, documents)
    for point in points:
        meter.see(load_model(Path(point)) if isinstance(point, str | Path) else point)
    return meter.result()


def _mean_over_folds(sums: np.ndarray, tokens: np.ndarray) -> tuple[float, float, float]:
    """Sum over sum, and its interval by the delete-one jackknife over folds."""
    whole = sums.sum() / tokens.sum()
    low, high = jackknife_interval(whole, (sums.sum() - sums) / (tokens.sum() - tokens))
    return float(whole), float(low), float(high)
