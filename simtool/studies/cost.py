"""What a plan costs before it runs: tokens, operations, time and disk."""

from dataclasses import dataclass

from simtool.studies.plan import Plan, compared_arms
from simtool.studies.power import agreement_power
from simtool.training.sizes import SIZES, padded_vocabulary

# Shares of a matrix product's speed that training is taken to reach: of the order of what `train` prints as MFU
UTILISATION = {"cpu": 0.15, "cuda": 0.4}
H100 = 989e12  # bf16 operations per second, dense; NVIDIA's data sheet
BYTES = 12  # per parameter of a checkpoint: fp32 weights and two moments


@dataclass(frozen=True)
class Cost:
    """The cost of a plan; training only, measuring comes on top.

    tokens         trained in all
    tokens_by_arm  the same arms, each from initial weights, with its SFT
    tokens_by_run  every run of SFT from initial weights, as one configuration per run has it
    flops          6 N + 12 L D T per token, N without the input embedding (arXiv:2204.02311)
    bytes          of the checkpoints that stay
    seconds        on `workers` of this machine's devices, at `utilisation` of the matrix speed measured now
    h100_seconds   on one H100 at 40% of its data sheet's speed: an assumption, not measured
    power          chance that agreement with the prediction is shown, where it is as high as `agreement_power` has it
    """

    n_nodes: int
    n_leaves: int
    tokens: int
    tokens_by_arm: int
    tokens_by_run: int
    flops: float
    bytes: int
    device: str
    peak: float
    utilisation: float
    workers: int
    seconds: float
    h100_seconds: float
    power: float


def estimate_cost(plan: Plan, vocabulary_size: int, device: str = "auto", workers: int = 1) -> Cost:
    """What a plan costs on a device of this machine."""
    # here, so that a cost can be shown where torch is not installed
    from simtool.training.hardware import find_device, measured_peak

    study = plan.study
    flops, n_bytes = 0.0, 0
    for node in plan.nodes.values():
        if (size := SIZES.get(node.model)) is None:
            continue  # a folder with a config.json: its size is known when it is built
        shape = size.shape
        head = padded_vocabulary(vocabulary_size) * shape.width
        n = shape.n_parameters + head
        flops += node.tokens * (6.0 * n + 12.0 * shape.n_layers * shape.width * study.sequence_length)
        n_bytes += 0 if node.target else BYTES * (n + head)
    processor = find_device(device)
    peak = measured_peak(processor, study.precision)
    utilisation = UTILISATION.get(processor.type, UTILISATION["cpu"])
    return Cost(
        n_nodes=len(plan.nodes),
        n_leaves=sum(bool(node.target) for node in plan.nodes.values()),
        tokens=plan.tokens,
        tokens_by_arm=plan.tokens_by_arm,
        tokens_by_run=plan.tokens_by_run,
        flops=flops,
        bytes=n_bytes,
        device=processor.type,
        peak=peak,
        utilisation=utilisation,
        workers=workers,
        seconds=flops / (peak * utilisation * workers),
        h100_seconds=flops / (H100 * UTILISATION["cuda"]),
        power=agreement_power(len(compared_arms(study)), len(study.targets)),
    )
