"""Many small runs as one batched model: replicas that differ in seed, learning rate or data, trained side by side.

Small models leave a GPU idle; stacked, their matrix products become batched ones. Every replica is the run that it
would be alone, within rounding: its own weights, gradient norm, clipping, optimizer state and learning rate.
"""

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn.attention import SDPBackend, sdpa_kernel

from simtool.errors import SimtoolError, TrainingDiverged
from simtool.tokens.batches import IGNORED, Batch, ExampleBatches, TextBatches
from simtool.tokens.store import TokenStore
from simtool.training.hardware import autocast
from simtool.training.losses import chunked_cross_entropy
from simtool.training.metrics import SPIKE_HISTORY, trouble
from simtool.training.model import GPTNeoX, build_model
from simtool.training.optimizer import BETAS, EPSILON
from simtool.training.recipes import Recipe
from simtool.training.sizes import SIZES
from simtool.training.trainer import (
    MICRO_TOKENS,
    PLAIN,
    batches_of,
    steps_of,
)

# R replicas, B row, T position, V vocabulary


def train_replicas(
    recipes: Sequence[Recipe],
    stores: Mapping[str, TokenStore],
    device: str = "cpu",
    start: GPTNeoX | None = None,
) -> tuple[list[GPTNeoX], np.ndarray]:
    """The trained models of recipes that differ in their last segment, and its losses: float64 (R, steps).

    start   what all of them go on from, where something comes before the last segment; its optimizer starts anew

    Recipes may differ in seed, learning rate, schedule and text; model, length, batch and steps must be alike.
    Nothing is saved on the way: replicas are for short runs. Raises SimtoolError where recipes are too different, and
    where a loss is no number or leaps.
    """
    if not recipes:
        raise SimtoolError("No recipes to train.")
    batches = [batches_of(recipe, stores)[-1] for recipe in recipes]
    n_steps = check_alike(recipes, batches, start)
    first, phases = recipes[0], [recipe.segments()[-1] for recipe in recipes]
    where, size = torch.device(device), next(iter(stores.values())).vocabulary_size
    models = [copy.deepcopy(start) if start else build_model(recipe.model, size, recipe.seed) for recipe in recipes]
    models = [model.to(where) for model in models]
    parameters, _ = stack_module_state(models)
    parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    optimizer = _Optimizer(parameters, first.weight_decay, first.max_grad_norm)
    masked = first.mask_documents or phases[0].is_sft
    losses = np.empty((len(recipes), n_steps))
    history = [deque[float](maxlen=SPIKE_HISTORY) for _ in recipes]
    for step in range(n_steps):
        ids, targets, documents = side_by_side([of_member.batch(step) for of_member in batches])
        counted_R = torch.from_numpy((targets != IGNORED).sum(axis=(1, 2))).to(where)
        loss_R = torch.zeros(len(recipes), device=where)
        rows = max(1, MICRO_TOKENS.get(where.type, MICRO_TOKENS["cpu"]) // (len(recipes) * ids.shape[2]))
        for at in range(0, ids.shape[1], rows):
            part = [torch.from_numpy(array[:, at : at + rows]).to(where) for array in (ids, targets, documents)]
            part = part if masked else part[:2]
            with autocast(where, first.precision):
                minimised_R, cross_entropy_R = replica_losses(models[0], parameters, *part, z_loss=first.z_loss)
            # replicas do not touch each other, so the gradient of the sum is each one's own
            (minimised_R / counted_R).sum().backward()
            loss_R += cross_entropy_R
        norm_R = optimizer.norms()
        losses[:, step] = (loss_R / counted_R).double().cpu().numpy()
        for r, norm in enumerate(norm_R.tolist()):
            if problem := trouble(losses[r, step], norm, history[r], PLAIN.spike):
                raise TrainingDiverged(f"Step {step:,} of replica {r} ({phases[r].learning_rate:g}): {problem}.")
            history[r].append(losses[r, step])
        rates = [recipe.learning_rate(phase, step, n_steps) for recipe, phase in zip(recipes, phases, strict=True)]
        optimizer.step(torch.tensor(rates, device=where), norm_R)
    for r, model in enumerate(models):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(parameters[name][r])
    return models, losses


def check_alike(
    recipes: Sequence[Recipe], batches: Sequence[TextBatches | ExampleBatches], start: GPTNeoX | None
) -> int:
    """The steps of their last segment. Raises SimtoolError unless they can be trained as one batched model."""
    if unknown := sorted({recipe.model for recipe in recipes} - SIZES.keys()):
        raise SimtoolError(f"Replicas are for the sizes by name. Train {', '.join(unknown)} one by one.")
    segments = [recipe.segments() for recipe in recipes]
    last = [phases[-1] for phases in segments]
    if start is None and any(len(phases) > 1 for phases in segments):
        raise SimtoolError("Replicas train one segment of a recipe. Give the model that the earlier ones end with.")
    if start is not None and any(phase.optimizer != "fresh" for phase in last):
        raise SimtoolError("Replicas that go on from a model start a new optimizer. Train these one by one.")
    first = recipes[0]
    common = [replace(recipe, phases=first.phases, seed=first.seed) for recipe in recipes]
    sizes = [
        (phase.is_sft, phase.batch_size, steps_of(phase, of_member))
        for phase, of_member in zip(last, batches, strict=True)
    ]
    if any(recipe != first for recipe in common) or len(set(sizes)) > 1:
        raise SimtoolError("Replicas may differ in seed, learning rate, schedule and text only. These differ in more.")
    return sizes[0][-1]


def side_by_side(batches: Sequence[Batch]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, targets and documents (R, B, T); smaller batches are filled up with a document that nobody counts."""
    B, T = (max(batch.ids.shape[axis] for batch in batches) for axis in (0, 1))
    shape = (len(batches), B, T)
    ids, targets, documents = np.zeros(shape, np.int64), np.full(shape, IGNORED), np.full(shape, -1)
    for r, batch in enumerate(batches):
        b, t = batch.ids.shape
        ids[r, :b, :t], targets[r, :b, :t], documents[r, :b, :t] = batch.ids, batch.targets, batch.documents
    return ids, targets, documents


def replica_losses(
    model: GPTNeoX,
    parameters: Mapping[str, Tensor],
    ids_RBT: Tensor,
    targets_RBT: Tensor,
    documents_RBT: Tensor | None = None,
    z_loss: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """What to minimise and the cross-entropy alone, summed over each replica's own batch: (R,) and (R,)."""
    body = {name.removeprefix("gpt_neox."): p for name, p in parameters.items() if name.startswith("gpt_neox.")}

    def hidden(own: Mapping[str, Tensor], ids: Tensor, documents: Tensor | None) -> Tensor:
        return functional_call(model.gpt_neox, dict(own), (ids, documents))

    # vmap has no rule for the CPU's flash attention and would go through the replicas one by one
    attention = sdpa_kernel(SDPBackend.MATH) if ids_RBT.device.type == "cpu" else nullcontext()
    with attention:
        in_dims = (0, 0, None if documents_RBT is None else 0)
        hidden_RBTD = torch.vmap(hidden, in_dims)(body, ids_RBT, documents_RBT)
    # the logits are the largest matrix by far, batched or not, and the loss makes them a few rows at a time
    each = [
        chunked_cross_entropy(h, head, targets, z_loss)
        for h, head, targets in zip(hidden_RBTD, parameters["embed_out.weight"], targets_RBT, strict=True)
    ]
    minimised, cross_entropy = zip(*each, strict=True)
    return torch.stack(minimised), torch.stack(cross_entropy)


class _Optimizer:
    """AdamW as in the loop, with a learning rate and a gradient norm for each replica."""

    def __init__(self, parameters: Mapping[str, Tensor], weight_decay: float, clip: float):
        self.parameters, self.clip, self.n = parameters, clip, 0
        # a matrix of each replica has three dimensions when stacked
        self.decay = {name: weight_decay if p.dim() > 2 else 0.0 for name, p in parameters.items()}
        self.first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def norms(self) -> Tensor:
        """Of each replica's gradient: (R,)"""
        return torch.stack([p.grad.flatten(1).square().sum(1) for p in self.parameters.values()]).sum(0).sqrt()

    @torch.no_grad()
    def step(self, rates_R: Tensor, norms_R: Tensor) -> None:
        self.n += 1
        shrink_R = (self.clip / (norms_R + 1e-6)).clamp(max=1.0)
        for name, p in self.parameters.items():
            shape = (-1,) + (1,) * (p.dim() - 1)
            rate, gradient = rates_R.view(shape), p.grad * shrink_R.view(shape)
            p.mul_(1 - rate * self.decay[name])
            first, second = self.first[name].lerp_(gradient, 1 - BETAS[0]), self.second[name]
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            root = (second / (1 - BETAS[1] ** self.n)).sqrt_().add_(EPSILON)
            p.sub_(rate / (1 - BETAS[0] ** self.n) * first / root)
            p.grad = None
