"""Many small runs as one batched model: members that differ in seed, learning rate or data, trained side by side.

Small models leave a GPU idle; stacked, their matrix products become batched ones, and attention sees the members as
more rows of one batch. Every member is the run that it would be by itself, within rounding: its own weights, gradient
norm, clipping, optimizer state and learning rate.

As in the trainer nobody waits for a step that is begun: its losses are read when the next one's gradients are queued,
and which members' updates are sound is decided on the device, before they are made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from simtool.errors import SimtoolError, TrainingDiverged
from simtool.tokens.batches import IGNORED, Batch, ExampleBatches, TextBatches
from simtool.tokens.store import TokenStore
from simtool.training.graphs import Pieces, Replayed
from simtool.training.hardware import autocast, compiled_on_gpu, free_bytes
from simtool.training.losses import chunked_cross_entropy
from simtool.training.metrics import LossHistory
from simtool.training.microbatch import CPU_TOKENS, fitting_tokens
from simtool.training.model import (
    RESIDUALS,
    GPTNeoX,
    attend,
    attention_mask,
    build_model,
    document_offsets,
    has_document_attention,
    rotary_angles,
)
from simtool.training.optimizer import BETAS, EPSILON, adamw, read_later
from simtool.training.prefetch import moved, prefetched, staged, width_multiple
from simtool.training.recipes import Phase, Recipe
from simtool.training.sizes import SIZES, Shape
from simtool.training.trainer import PLAIN, batches_of, steps_of

# E members, B row, T position, N = B T, D width, O outputs of a matrix, V vocabulary, P parameters of a member


@dataclass(frozen=True)
class Start:
    """Where a member is taken up: before this step of this segment, which must be its recipe's last.

    optimizer   whose moments it goes on with; None: a new one
    """

    model: GPTNeoX
    segment: int
    step: int
    optimizer: torch.optim.AdamW | None = None


@dataclass(frozen=True)
class Member:
    """A run of an ensemble: the batches and the steps of its last segment, of which `first` is the next."""

    recipe: Recipe
    phase: Phase
    batches: TextBatches | ExampleBatches
    first: int

    @property
    def n_steps(self) -> int:
        return steps_of(self.phase, self.batches)

    def rate(self, step: int) -> float:
        return self.recipe.learning_rate(self.phase, step, self.n_steps)


@dataclass(frozen=True)
class EnsembleBatch:
    """What the members read in a step.

    pieces      of a forward pass each: ids and targets (E, b, T) and, where attention keeps within documents, those
    n_targets   int (E,)
    """

    pieces: Pieces
    n_targets: np.ndarray


@dataclass(frozen=True)
class TrainedEnsemble:
    """Finished members.

    losses       float64 (E, steps) of what was trained
    n_tokens     int (E,) targets that were trained on
    """

    models: list[GPTNeoX]
    optimizers: list[torch.optim.AdamW]
    losses: np.ndarray
    n_tokens: np.ndarray


def train_ensemble(
    recipes: Sequence[Recipe],
    stores: Mapping[str, TokenStore],
    device: str = "cpu",
    starts: Sequence[Start] | None = None,
    graph: bool = False,
    report: Callable[[Any], None] = lambda message: None,
) -> TrainedEnsemble:
    """Train the last segments of recipes side by side.

    Nothing is saved on the way: ensembles are for short runs.

    Parameters
    ----------
    recipes : sequence of Recipe
        They may differ in seed, learning rate, schedule and text, and in all that came before; model, sequence length,
        batch and the number of steps that are left must be alike.
    starts : sequence of Start, optional
        What each of them goes on from; None: initial weights.
    graph : bool
        Replay the gradients of a step as a CUDA graph. Not measured; nothing is captured on a CPU.
    report : callable
        Is called with a sentence where that cannot be done.

    Raises
    ------
    SimtoolError
        Where recipes are too different.
    TrainingDiverged
        Where a loss is no number or leaps.
    """
    if not recipes:
        raise SimtoolError("No recipes to train.")
    if unknown := sorted({recipe.model for recipe in recipes} - SIZES.keys()):
        raise SimtoolError(f"An ensemble is of sizes by name. Train {', '.join(unknown)} one by one.")
    if starts is None:
        vocabulary_size = next(iter(stores.values())).vocabulary_size
        starts = [Start(build_model(recipe.model, vocabulary_size, recipe.seed), 0, 0) for recipe in recipes]
    members = [
        Member(recipe, recipe.segments()[-1], batches_of(recipe, stores)[-1], start.step)
        for recipe, start in zip(recipes, starts, strict=True)
    ]
    n_steps = check_alike(members, starts)
    optimizers = [carried(member, start) for member, start in zip(members, starts, strict=True)]
    ensemble = Ensemble([start.model for start in starts], torch.device(device), recipes[0], optimizers)
    if graph and ensemble.device.type == "cuda":
        ensemble.take_gradients = Replayed(ensemble.gradients, ensemble.device, report)
    losses, n_tokens = train_members(ensemble, members, n_steps)
    models = ensemble.models()
    return TrainedEnsemble(models, ensemble.optimizers(models), losses, n_tokens)


def train_members(ensemble: "Ensemble", members: Sequence[Member], n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses (E, n_steps) and targets (E,) of so many steps, which no step waits for.

    Raises
    ------
    TrainingDiverged
        Where an update was not made.
    """
    losses, n_tokens = np.empty((len(members), n_steps)), np.zeros(len(members), np.int64)
    histories = [LossHistory(PLAIN.spike) for _ in members]
    masked = members[0].recipe.mask_documents or members[0].phase.is_sft
    readings: list[Callable[[], list[list[float]]]] = []  # of steps that are begun and not read yet: one at most

    def prepare(step: int) -> EnsembleBatch:
        return ensemble.prepared([member.batches.batch(member.first + step) for member in members], masked)

    def read(step: int) -> None:
        losses[:, step], norms = readings.pop()()
        for e, (member, norm) in enumerate(zip(members, norms, strict=True)):
            if problem := histories[e].add(losses[e, step], norm):
                at = f"Step {member.first + step:,} of member {e} ({member.phase.learning_rate:g})"
                raise TrainingDiverged(f"{at}: {problem}.")

    for step, batch in enumerate(prefetched(prepare, range(n_steps))):
        ensemble.accumulate(batch.pieces)
        if step:
            read(step - 1)
        rates = [member.rate(member.first + step) for member in members]
        readings.append(ensemble.step(rates, [history.limit for history in histories]))
        n_tokens += batch.n_targets
    if n_steps:
        read(n_steps - 1)
    return losses, n_tokens


def carried(member: Member, start: Start) -> torch.optim.AdamW | None:
    """The optimizer that a member goes on with: none where its segment begins with a new one."""
    return None if member.phase.optimizer == "fresh" and not start.step else start.optimizer


def check_alike(members: Sequence[Member], starts: Sequence[Start]) -> int:
    """The steps that are left of their last segment.

    Raises
    ------
    SimtoolError
        Unless they can be trained as one batched model.
    """
    if any(start.segment != len(m.recipe.segments()) - 1 for start, m in zip(starts, members, strict=True)):
        raise SimtoolError("An ensemble trains one segment of recipes. Give the model that the earlier ones end with.")
    first = members[0].recipe
    common = [replace(member.recipe, phases=first.phases, seed=first.seed) for member in members]
    kinds = {(member.phase.is_sft, member.phase.batch_size, member.n_steps - member.first) for member in members}
    if any(recipe != first for recipe in common) or len(kinds) > 1:
        raise SimtoolError(
            "Members of an ensemble may differ in seed, learning rate, schedule and text only. These differ in more."
        )
    return next(iter(kinds))[2]


def side_by_side(batches: Sequence[Batch], multiple: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, targets and documents (E, B, T); what is smaller is filled up with a document without targets.

    T is a multiple of `multiple`.
    """
    B, T = (max(batch.ids.shape[axis] for batch in batches) for axis in (0, 1))
    T += -T % multiple
    shape = (len(batches), B, T)
    ids, targets, documents = np.zeros(shape, np.int64), np.full(shape, IGNORED), np.full(shape, -1)
    for e, batch in enumerate(batches):
        b, t = batch.ids.shape
        ids[e, :b, :t], targets[e, :b, :t], documents[e, :b, :t] = batch.ids, batch.targets, batch.documents
    return ids, targets, documents


class Ensemble:
    """Members' weights and moments, each as one matrix with a row a member: (E, P), of which the parameters are views.
    So clipping and AdamW are a few kernels over all of it, however many parameters there are."""

    def __init__(
        self,
        models: Sequence[GPTNeoX],
        device: torch.device,
        recipe: Recipe,
        optimizers: Sequence[torch.optim.AdamW | None] = (),
    ):
        self.device, self.recipe, self.shape = device, recipe, models[0].shape
        self.vocabulary_size = models[0].vocabulary_size
        self.frequencies = models[0].gpt_neox.frequencies.to(device)
        self.shapes = shapes = {name: parameter.shape for name, parameter in models[0].named_parameters()}
        rows = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models]
        self.weights_EP = torch.stack(rows).to(device)
        self.first_EP, self.second_EP = torch.zeros_like(self.weights_EP), torch.zeros_like(self.weights_EP)
        self.n_steps = np.zeros(len(models))
        self.take_gradients: Callable[[Pieces], tuple[Tensor, ...]] = self.gradients
        for e, (model, optimizer) in enumerate(zip(models, optimizers, strict=False)):
            if optimizer is not None and optimizer.state:
                self._take_moments(e, [optimizer.state[parameter] for parameter in model.parameters()])
        # decay on matrices only, as in `parameter_groups`
        decays = [recipe.weight_decay if len(shape) > 1 else 0.0 for shape in shapes.values()]
        counts = torch.tensor([shape.numel() for shape in shapes.values()])
        self.decay_P = torch.tensor(decays).repeat_interleave(counts).to(device)
        self.parameters = {
            name: view.detach().requires_grad_() for name, view in _views(self.weights_EP, shapes).items()
        }

        self.micro_tokens = CPU_TOKENS
        if device.type == "cuda":
            n_parameters = self.weights_EP.numel()
            self.micro_tokens = fitting_tokens(
                self.shape.n_layers, self.shape.width, n_parameters, recipe.precision, free_bytes(device)
            )

    def prepared(self, batches: Sequence[Batch], masked: bool) -> EnsembleBatch:
        """Batches of the members, ready for the device."""
        ids, targets, documents = side_by_side(batches, width_multiple(self.device))
        rows = self._rows(*ids.shape)
        pieces = []
        for piece in (slice(at, at + rows) for at in range(0, ids.shape[1], rows)):
            arrays = [ids[:, piece], targets[:, piece]] + ([self._within(documents[:, piece])] if masked else [])
            pieces.append(tuple(staged(array, self.device) for array in arrays))
        return EnsembleBatch(pieces, (targets != IGNORED).sum(axis=(1, 2)))

    def _rows(self, E: int, B: int, T: int) -> int:
        """Rows of a member in a forward pass."""
        rows = max(1, self.micro_tokens // (E * T))
        return -(-B // -(-B // rows)) if self.device.type == "cuda" else rows  # equal pieces are few shapes

    def _within(self, documents_EBT: np.ndarray) -> np.ndarray:
        """What keeps attention within documents here; to attention a member is more rows of the batch."""
        rows = documents_EBT.reshape(-1, documents_EBT.shape[2])
        return document_offsets(rows) if has_document_attention(self.device, self.recipe.precision) else rows

    def accumulate(self, pieces: Pieces) -> None:
        """The gradients of each member's mean loss over its batch, that loss, and the norm, for `step` to take."""
        self.loss_E, self.norm_E, self.gradient_EP = self.take_gradients(pieces)

    def gradients(self, pieces: Pieces) -> tuple[Tensor, Tensor, Tensor]:
        """Each member's mean loss (E,), the norm of its gradient (E,), and the gradient (E, P)."""
        pieces = [[moved(tensor, self.device) for tensor in piece] for piece in pieces]
        n_targets_E = sum((targets_EBT != IGNORED).sum((1, 2)) for _, targets_EBT, *_ in pieces)
        total_E = torch.zeros(len(self.weights_EP), device=self.device)
        gradients: list[Tensor] = []
        for ids_EBT, targets_EBT, *within in pieces:
            with autocast(self.device, self.recipe.precision):
                minimised_E, cross_entropy_E = self.losses(ids_EBT, targets_EBT, *within)
            # members do not touch each other, so the gradient of the sum is each one's own
            of_piece = torch.autograd.grad((minimised_E / n_targets_E).sum(), list(self.parameters.values()))
            gradients = torch._foreach_add(gradients, of_piece) if gradients else list(of_piece)
            total_E += cross_entropy_E
        gradient_EP = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)
        return total_E / n_targets_E, gradient_EP.square().sum(1).sqrt(), gradient_EP

    def losses(self, ids_EBT: Tensor, targets_EBT: Tensor, documents: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What to minimise and the cross-entropy by itself, summed over each member's own rows: (E,) and (E,)."""
        residual = RESIDUALS[self.recipe.residual_precision]
        hidden_END = ensemble_hidden(self.shape, self.parameters, self.frequencies, ids_EBT, documents, residual)
        return chunked_cross_entropy(hidden_END, self.parameters["embed_out.weight"], targets_EBT, self.recipe.z_loss)

    @torch.no_grad()
    def step(self, rates: Sequence[float], limits: Sequence[float]) -> Callable[[], list[list[float]]]:
        """Make the update of the members whose loss and norm are numbers, and whose loss is not above their limit.

        Parameters
        ----------
        rates, limits : sequence of float
            Learning rate, and nats per token, of each member.

        Returns
        -------
        callable
            Gives [losses, norms] of the members when it is called, and waits for the device then.
        """
        self.n_steps += 1
        bias = np.stack([1 - beta**self.n_steps for beta in BETAS])  # of the moments, which begin at zero
        numbers = np.stack([rates, np.array(rates) / bias[0], bias[1], limits])
        numbers_4E = moved(staged(numbers, self.device), self.device)
        readings_2E = torch.stack([self.loss_E.double(), self.norm_E.double()])
        sound_E = readings_2E.isfinite().all(0) & (readings_2E[0] <= numbers_4E[3])
        shrink_E = (self.recipe.max_grad_norm / (self.norm_E + 1e-6)).clamp(max=1.0)
        state = self.weights_EP, self.first_EP, self.second_EP, self.gradient_EP
        update = compiled_on_gpu(adamw_update, self.device.type)
        update(*state, self.decay_P, shrink_E, numbers_4E[:3].float(), sound_E)
        return read_later(readings_2E)

    def models(self) -> list[GPTNeoX]:
        """The members, each a model of its own."""
        members = [GPTNeoX(self.shape, self.vocabulary_size).to(self.device) for _ in range(len(self.weights_EP))]
        for e, model in enumerate(members):
            model.load_state_dict({name: p[e].detach() for name, p in self.parameters.items()})
        return members

    def optimizers(self, models: Sequence[GPTNeoX]) -> list[torch.optim.AdamW]:
        """Those of the members, each over the parameters of its model."""
        first, second = _views(self.first_EP, self.shapes), _views(self.second_EP, self.shapes)
        optimizers = [adamw(model, self.recipe.weight_decay) for model in models]
        for e, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            for name, parameter in model.named_parameters():
                step = torch.tensor(self.n_steps[e], dtype=torch.float32, device=self.device)
                optimizer.state[parameter] = {"step": step, "exp_avg": first[name][e], "exp_avg_sq": second[name][e]}
        return optimizers

    def _take_moments(self, e: int, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Member e goes on with these, one for each parameter."""
        self.first_EP[e] = torch.cat([state["exp_avg"].flatten() for state in states])
        self.second_EP[e] = torch.cat([state["exp_avg_sq"].flatten() for state in states])
        self.n_steps[e] = float(states[0]["step"])


def _views(matrix_EP: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """{parameter: (E, *shape)} into a matrix of all."""
    parts = matrix_EP.split([shape.numel() for shape in shapes.values()], dim=1)
    return {name: part.view(-1, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def adamw_update(
    weights_EP: Tensor,
    first_EP: Tensor,
    second_EP: Tensor,
    gradient_EP: Tensor,
    decay_P: Tensor,
    shrink_E: Tensor,
    numbers_3E: Tensor,
    sound_E: Tensor,
) -> None:
    """AdamW as in the trainer, in place, with a rate and a clipped norm for each member; those not sound stay.

    Parameters
    ----------
    numbers_3E
        Learning rate, the same corrected for the first moment's beginning at zero, and what the second is divided by.
    """
    sound_E1 = sound_E[:, None]
    rates_E1, corrected_E1 = (numbers_3E[:2] * sound_E)[..., None]
    gradient_EP.mul_(shrink_E[:, None]).masked_fill_(~sound_E1, 0.0)
    weights_EP.mul_(1 - rates_E1 * decay_P)
    first_EP.lerp_(gradient_EP, (1 - BETAS[0]) * sound_E1.float())
    second_EP.mul_(torch.where(sound_E1, BETAS[1], 1.0)).addcmul_(gradient_EP, gradient_EP, value=1 - BETAS[1])
    root_EP = (second_EP / numbers_3E[2][:, None]).sqrt_().add_(EPSILON)
    weights_EP.sub_(corrected_E1 * first_EP / root_EP)


# ---- the batched forward pass ----------------------------------------------------------------------------


def ensemble_hidden(
    shape: Shape,
    parameters: Mapping[str, Tensor],
    frequencies: Tensor,
    ids_EBT: Tensor,
    documents: Tensor | None = None,
    residual: torch.dtype = torch.float32,
) -> Tensor:
    """What `GPTNeoX.hidden` is of each member: (E, N, D), from parameters with a leading E.

    Parameters
    ----------
    documents
        Of every position (E B, T), or `document_offsets`.
    residual
        The type of what layers hand on.
    """
    E, B, T = ids_EBT.shape
    angles = rotary_angles(T, frequencies)
    mask = attention_mask(documents)
    members = torch.arange(E, device=ids_EBT.device)[:, None]
    x_END = parameters["gpt_neox.embed_in.weight"][members, ids_EBT.view(E, B * T)].to(residual)
    layer = compiled_on_gpu(ensemble_layer, ids_EBT.device.type)  # once for all layers: weights are its arguments
    for i in range(shape.n_layers):
        prefix = f"gpt_neox.layers.{i}."
        of_layer = {name.removeprefix(prefix): p for name, p in parameters.items() if name.startswith(prefix)}
        x_END = layer(x_END, of_layer, shape.n_heads, T, *angles, mask)
    return batched_norm(
        x_END, parameters["gpt_neox.final_layer_norm.weight"], parameters["gpt_neox.final_layer_norm.bias"]
    )


def ensemble_layer(
    x_END: Tensor, p: Mapping[str, Tensor], n_heads: int, T: int, cos: Tensor, sin: Tensor, mask: Tensor | None
) -> Tensor:
    """`Layer` of each member, from its parameters by their names within the layer."""

    def linear(name: str, inputs: Tensor) -> Tensor:
        return batched_linear(inputs, p[f"{name}.weight"], p[f"{name}.bias"])

    def norm(name: str) -> Tensor:
        return batched_norm(x_END, p[f"{name}.weight"], p[f"{name}.bias"])

    E, N, D = x_END.shape
    qkv_END = linear("attention.query_key_value", norm("input_layernorm"))
    # to attention a member is more rows of the batch
    read_END = attend(qkv_END.view(E * N // T, T, 3 * D), n_heads, cos, sin, mask).view(E, N, D)
    inner_END = F.gelu(linear("mlp.dense_h_to_4h", norm("post_attention_layernorm")))
    added_END = x_END.float() + linear("attention.dense", read_END) + linear("mlp.dense_4h_to_h", inner_END)
    return added_END.to(x_END.dtype)


def batched_linear(x_END: Tensor, weight_EOD: Tensor, bias_EO: Tensor) -> Tensor:
    return torch.baddbmm(bias_EO[:, None], x_END, weight_EOD.mT)


def batched_norm(x_END: Tensor, weight_ED: Tensor, bias_ED: Tensor) -> Tensor:
    return F.layer_norm(x_END.float(), x_END.shape[-1:]) * weight_ED[:, None] + bias_ED[:, None]
