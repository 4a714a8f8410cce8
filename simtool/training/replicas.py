"""Many small runs as one batched model: replicas that differ in seed, learning rate or data, trained side by side.

Small models leave a GPU idle; stacked, their matrix products become batched ones. Every replica is the run that it
would be alone, within rounding: its own weights, gradient norm, clipping, optimizer state and learning rate.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn.attention import SDPBackend, sdpa_kernel

from simtool.errors import SimtoolError
from simtool.tokens.store import TokenStore
from simtool.training.loop import BETAS, EPSILON, autocast, batches_of
from simtool.training.model import IGNORED, GPTNeoX, build_model
from simtool.training.recipes import Recipe

# R replicas, B row, T position, V vocabulary


def train_replicas(
    recipes: Sequence[Recipe], stores: Mapping[str, TokenStore], device: str = "cpu"
) -> tuple[list[GPTNeoX], np.ndarray]:
    """The trained models of recipes that have one text phase each, and their losses: float64 (R, steps).

    Recipes may differ in seed, learning rate, schedule and mixture; model, length, batch and steps must be alike.
    Nothing is saved on the way: replicas are for short runs. Raises SimtoolError where recipes are too different.
    """
    check_alike(recipes)
    phases = [recipe.phases[0] for recipe in recipes]
    batches = [batches_of(recipe, stores)[0] for recipe in recipes]
    size = next(iter(stores.values())).vocabulary_size
    models = [build_model(recipe.model, size, recipe.seed).to(device) for recipe in recipes]
    parameters, _ = stack_module_state(models)
    parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    optimizer = _Optimizer(parameters, recipes[0].weight_decay, recipes[0].clip)
    n_steps = recipes[0].n_steps(phases[0])
    losses = np.empty((len(recipes), n_steps))
    for step in range(n_steps):
        read = [one.batch(step) for one in batches]
        ids, targets = (
            torch.from_numpy(np.stack([getattr(batch, name) for batch in read])).to(device)
            for name in ("ids", "targets")
        )
        with autocast(torch.device(device), recipes[0].precision):
            loss_R = replica_losses(models[0], parameters, ids, targets)
        # replicas do not touch each other, so the gradient of the sum is each one's own
        loss_R.sum().backward()
        done = [phase.schedule_done + (step + 0.5) * recipes[0].step_tokens(phase) for phase in phases]
        rates = [p.learning_rate_at(tokens / p.schedule_length) for p, tokens in zip(phases, done, strict=True)]
        optimizer.step(torch.tensor(rates, device=device))
        losses[:, step] = loss_R.detach().double().cpu().numpy()
    for r, model in enumerate(models):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(parameters[name][r])
    return models, losses


def check_alike(recipes: Sequence[Recipe]) -> None:
    """Raises SimtoolError unless these recipes can be trained as one batched model."""
    if not recipes:
        raise SimtoolError("No recipes to train.")
    if any(len(recipe.phases) > 1 or recipe.phases[0].is_sft for recipe in recipes):
        raise SimtoolError("Replicas are for recipes of one text phase. Train the others one by one.")
    if any(recipe.mask_documents or recipe.z_loss for recipe in recipes):
        raise SimtoolError("Replicas know no document mask and no z-loss. Train these one by one.")
    first = recipes[0]
    common = [replace(recipe, phases=first.phases, seed=first.seed) for recipe in recipes]
    steps = [(recipe.phases[0].batch_size, recipe.n_steps(recipe.phases[0])) for recipe in recipes]
    if any(one != first for one in common) or len(set(steps)) > 1:
        raise SimtoolError(
            "Replicas may differ in seed, learning rate, schedule and mixture only. These differ in more."
        )


def replica_losses(model: GPTNeoX, parameters: Mapping[str, Tensor], ids_RBT: Tensor, targets_RBT: Tensor) -> Tensor:
    """Mean loss of each replica on its own batch, (R,)."""

    def loss(own: Mapping[str, Tensor], ids: Tensor, targets: Tensor) -> Tensor:
        logits = functional_call(model, dict(own), (ids,))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)

    # vmap has no rule for the CPU's flash attention and would go through the replicas one by one
    attention = sdpa_kernel(SDPBackend.MATH) if ids_RBT.device.type == "cpu" else nullcontext()
    with attention:
        return torch.vmap(loss)(dict(parameters), ids_RBT, targets_RBT)


class _Optimizer:
    """AdamW as in the loop, with a learning rate and a gradient norm for each replica."""

    def __init__(self, parameters: Mapping[str, Tensor], weight_decay: float, clip: float):
        self.parameters, self.clip, self.n = parameters, clip, 0
        # a matrix of each replica has three dimensions when stacked
        self.decay = {name: weight_decay if p.dim() > 2 else 0.0 for name, p in parameters.items()}
        self.first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p) for name, p in parameters.items()}

    @torch.no_grad()
    def step(self, rates_R: Tensor) -> None:
        self.n += 1
        squares = [p.grad.flatten(1).square().sum(1) for p in self.parameters.values()]
        shrink_R = (self.clip / (torch.stack(squares).sum(0).sqrt() + 1e-6)).clamp(max=1.0)
        for name, p in self.parameters.items():
            shape = (-1,) + (1,) * (p.dim() - 1)
            rate, gradient = rates_R.view(shape), p.grad * shrink_R.view(shape)
            p.mul_(1 - rate * self.decay[name])
            first, second = self.first[name].lerp_(gradient, 1 - BETAS[0]), self.second[name]
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            root = (second / (1 - BETAS[1] ** self.n)).sqrt_().add_(EPSILON)
            p.sub_(rate / (1 - BETAS[0] ** self.n) * first / root)
            p.grad = None
