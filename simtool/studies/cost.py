"""What a plan costs before it runs: tokens, operations, time and disk."""

from dataclasses import dataclass

from simtool.studies.plan import Plan
from simtool.training.sizes import SIZES, padded_vocabulary

# Shares of a matrix product's speed that training is taken to reach: of the order of what `train` prints as MFU
UTILISATION = {"cpu": 0.15, "cuda": 0.4}
H100 = 989e12  # bf16 operations a second, dense; NVIDIA's data sheet
BYTES = 12  # a parameter of a checkpoint: fp32 weights and two moments


@dataclass(frozen=True)
class Price:
    """The price of a plan; training only, measuring comes on top.

    tokens         trained in all
    tokens_apart   the same arms, each from initial weights, with its SFT
    tokens_alone   every run of SFT from initial weights, as one configuration a run has it
    flops          6 N + 12 L D T a token, N without the input embedding (arXiv:2204.02311)
    bytes          of the checkpoints that stay
    seconds        on `workers` of this machine's devices, at `utilisation` of the matrix speed measured now
    h100_seconds   on one H100 at 40% of its data sheet's speed: an assumption, not measured
    """

    n_nodes: int
    n_leaves: int
    tokens: int
    tokens_apart: int
    tokens_alone: int
    flops: float
    bytes: int
    device: str
    peak: float
    utilisation: float
    workers: int
    seconds: float
    h100_seconds: float


def price(plan: Plan, vocabulary_size: int, device: str = "auto", workers: int = 1) -> Price:
    """Price a plan on a device of this machine."""
    # here, so that a cost can be shown where torch is not installed
    from simtool.training.trainer import find_device, measured_peak

    study = plan.study
    flops, kept = 0.0, 0
    for node in plan.nodes.values():
        if (size := SIZES.get(node.model)) is None:
            continue  # a folder with a config.json: its size is known when it is built
        shape = size.shape
        head = padded_vocabulary(vocabulary_size) * shape.width
        n = shape.n_parameters + head
        flops += node.tokens * (6.0 * n + 12.0 * shape.n_layers * shape.width * study.length)
        kept += 0 if node.target else BYTES * (n + head)
    where = find_device(device)
    peak = measured_peak(where, study.precision)
    used = UTILISATION.get(where.type, UTILISATION["cpu"])
    return Price(
        n_nodes=len(plan.nodes),
        n_leaves=sum(bool(node.target) for node in plan.nodes.values()),
        tokens=plan.tokens,
        tokens_apart=plan.tokens_apart,
        tokens_alone=plan.tokens_alone,
        flops=flops,
        bytes=kept,
        device=where.type,
        peak=peak,
        utilisation=used,
        workers=workers,
        seconds=flops / (peak * used * workers),
        h100_seconds=flops / (H100 * UTILISATION["cuda"]),
    )
