"""Many small runs as one batched model: members that differ in seed, learning rate or data, trained side by side.

Small models leave a GPU idle; stacked, their matrix products become batched ones, and attention sees the members as
more rows of one batch. Every member is the run that it would be by itself, within rounding: its own weights, gradient
norm, clipping, optimizer state and learning rate.
"""

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from simtool.errors import SimtoolError, TrainingDiverged
from simtool.tokens.batches import IGNORED, Batch, ExampleBatches, TextBatches
from simtool.tokens.store import TokenStore
from simtool.training.hardware import autocast, can_compile, free_bytes
from simtool.training.losses import chunked_cross_entropy
from simtool.training.metrics import SPIKE_HISTORY, trouble
from simtool.training.microbatch import CPU_TOKENS, fitting_tokens
from simtool.training.model import (
    GPTNeoX,
    attend,
    attention_mask,
    build_model,
    document_offsets,
    has_document_attention,
    rotary_angles,
)
from simtool.training.optimizer import BETAS, EPSILON, adamw
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
    batches = [batches_of(recipe, stores)[-1] for recipe in recipes]
    if starts is None:
        vocabulary_size = next(iter(stores.values())).vocabulary_size
        starts = [Start(build_model(recipe.model, vocabulary_size, recipe.seed), 0, 0) for recipe in recipes]
    n_steps = check_alike(recipes, batches, starts)
    phases = [recipe.segments()[-1] for recipe in recipes]
    n_all = [steps_of(phase, of_member) for phase, of_member in zip(phases, batches, strict=True)]
    ensemble = Ensemble([start.model for start in starts], torch.device(device), recipes[0], carried(starts, phases))
    masked = recipes[0].mask_documents or phases[0].is_sft
    losses, n_tokens = np.empty((len(recipes), n_steps)), np.zeros(len(recipes), np.int64)
    history = [deque[float](maxlen=SPIKE_HISTORY) for _ in recipes]
    for step in range(n_steps):
        at = [start.step + step for start in starts]
        arrays = side_by_side([of_member.batch(i) for of_member, i in zip(batches, at, strict=True)])
        losses[:, step], norms = ensemble.accumulate(*arrays if masked else arrays[:2])
        n_tokens += (arrays[1] != IGNORED).sum(axis=(1, 2))
        for e, norm in enumerate(norms):
            if problem := trouble(losses[e, step], norm, history[e], PLAIN.spike):
                raise TrainingDiverged(f"Step {at[e]:,} of member {e} ({phases[e].learning_rate:g}): {problem}.")
            history[e].append(losses[e, step])
        members = zip(recipes, phases, at, n_all, strict=True)
        ensemble.step([recipe.learning_rate(phase, i, n) for recipe, phase, i, n in members])
    models = ensemble.models()
    return TrainedEnsemble(models, ensemble.optimizers(models), losses, n_tokens)


def carried(starts: Sequence[Start], phases: Sequence[Phase]) -> list[torch.optim.AdamW | None]:
    """The optimizers that members go on with: none where a segment begins with a new one."""
    begins_anew = [phase.optimizer == "fresh" and not start.step for phase, start in zip(phases, starts, strict=True)]
    return [None if anew else start.optimizer for anew, start in zip(begins_anew, starts, strict=True)]


def check_alike(
    recipes: Sequence[Recipe], batches: Sequence[TextBatches | ExampleBatches], starts: Sequence[Start]
) -> int:
    """The steps that are left of their last segment.

    Raises
    ------
    SimtoolError
        Unless they can be trained as one batched model.
    """
    segments = [recipe.segments() for recipe in recipes]
    if any(start.segment != len(phases) - 1 for start, phases in zip(starts, segments, strict=True)):
        raise SimtoolError("An ensemble trains one segment of recipes. Give the model that the earlier ones end with.")
    first = recipes[0]
    common = [replace(recipe, phases=first.phases, seed=first.seed) for recipe in recipes]
    kinds = {
        (phases[-1].is_sft, phases[-1].batch_size, steps_of(phases[-1], of_member) - start.step)
        for phases, of_member, start in zip(segments, batches, starts, strict=True)
    }
    if any(recipe != first for recipe in common) or len(kinds) > 1:
        raise SimtoolError(
            "Members of an ensemble may differ in seed, learning rate, schedule and text only. These differ in more."
        )
    return next(iter(kinds))[2]


def side_by_side(batches: Sequence[Batch]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, targets and documents (E, B, T); smaller batches are filled up with a document without targets."""
    B, T = (max(batch.ids.shape[axis] for batch in batches) for axis in (0, 1))
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

    def accumulate(
        self, ids: np.ndarray, targets: np.ndarray, documents: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[float]]:
        """Gradients of each member's mean loss over its batch; that loss, float64 (E,), and the gradient's norm."""
        n_targets_E = torch.from_numpy((targets != IGNORED).sum(axis=(1, 2))).to(self.device)
        total_E = torch.zeros(len(ids), device=self.device)
        rows = max(1, self.micro_tokens // (len(ids) * ids.shape[2]))
        for at in range(0, ids.shape[1], rows):
            ids_EBT, targets_EBT = (torch.from_numpy(x[:, at : at + rows]).to(self.device) for x in (ids, targets))
            within = None if documents is None else self._within(documents[:, at : at + rows])
            with autocast(self.device, self.recipe.precision):
                minimised_E, cross_entropy_E = self.losses(ids_EBT, targets_EBT, within)
            # members do not touch each other, so the gradient of the sum is each one's own
            (minimised_E / n_targets_E).sum().backward()
            total_E += cross_entropy_E
        self.gradient_EP = torch.cat([p.grad.flatten(1) for p in self.parameters.values()], dim=1)
        self.norm_E = self.gradient_EP.square().sum(1).sqrt()
        return (total_E / n_targets_E).double().cpu().numpy(), self.norm_E.tolist()

    def _within(self, documents_EBT: np.ndarray) -> Tensor:
        """What keeps attention within documents here; to attention a member is more rows of the batch."""
        rows = documents_EBT.reshape(-1, documents_EBT.shape[2])
        offsets = has_document_attention(self.device, self.recipe.precision)
        return torch.from_numpy(document_offsets(rows) if offsets else rows).to(self.device)

    def losses(self, ids_EBT: Tensor, targets_EBT: Tensor, documents: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What to minimise and the cross-entropy by itself, summed over each member's own rows: (E,) and (E,)."""
        hidden_END = ensemble_hidden(self.shape, self.parameters, self.frequencies, ids_EBT, documents)
        return chunked_cross_entropy(hidden_END, self.parameters["embed_out.weight"], targets_EBT, self.recipe.z_loss)

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """AdamW as in the loop, with a learning rate and a clipped norm for each member."""
        self.n_steps += 1
        rates = np.array(rates)
        bias = np.stack([1 - beta**self.n_steps for beta in BETAS])  # of the moments, which begin at zero
        numbers = torch.from_numpy(np.stack([rates, rates / bias[0], bias[1]])).float().to(self.device)
        rates_E1, corrected_E1, bias_E1 = numbers[..., None]
        shrink_E = (self.recipe.max_grad_norm / (self.norm_E + 1e-6)).clamp(max=1.0)
        gradient_EP = self.gradient_EP.mul_(shrink_E[:, None])
        self.weights_EP.mul_(1 - rates_E1 * self.decay_P)
        self.first_EP.lerp_(gradient_EP, 1 - BETAS[0])
        self.second_EP.mul_(BETAS[1]).addcmul_(gradient_EP, gradient_EP, value=1 - BETAS[1])
        root_EP = (self.second_EP / bias_E1).sqrt_().add_(EPSILON)
        self.weights_EP.sub_(corrected_E1 * self.first_EP / root_EP)
        for p in self.parameters.values():
            p.grad = None

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


# ---- the batched forward pass ----------------------------------------------------------------------------


def ensemble_hidden(
    shape: Shape,
    parameters: Mapping[str, Tensor],
    frequencies: Tensor,
    ids_EBT: Tensor,
    documents: Tensor | None = None,
) -> Tensor:
    """What `GPTNeoX.hidden` is of each member: (E, N, D), from parameters with a leading E.

    Parameters
    ----------
    documents
        Of every position (E B, T), or `document_offsets`.
    """
    E, B, T = ids_EBT.shape
    angles = rotary_angles(T, frequencies)
    mask = attention_mask(documents)
    members = torch.arange(E, device=ids_EBT.device)[:, None]
    x_END = parameters["gpt_neox.embed_in.weight"][members, ids_EBT.view(E, B * T)]
    layer = layer_function(ids_EBT.device.type)
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
    return x_END + linear("attention.dense", read_END) + linear("mlp.dense_4h_to_h", inner_END)


def batched_linear(x_END: Tensor, weight_EOD: Tensor, bias_EO: Tensor) -> Tensor:
    return torch.baddbmm(bias_EO[:, None], x_END, weight_EOD.mT)


def batched_norm(x_END: Tensor, weight_ED: Tensor, bias_ED: Tensor) -> Tensor:
    return F.layer_norm(x_END, x_END.shape[-1:]) * weight_ED[:, None] + bias_ED[:, None]


@functools.cache
def layer_function(device: str) -> Callable[..., Tensor]:
    """`ensemble_layer`, on a GPU compiled: once for all layers, because their weights are its arguments."""
    return torch.compile(ensemble_layer) if device == "cuda" and can_compile() else ensemble_layer
