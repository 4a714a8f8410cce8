"""How runs of toys are run, and what they leave: weights, metrics, losses."""

import hashlib
import json
from pathlib import Path

from simtool.training.trainer import Execution

QUIET = Execution("cpu", log_steps=1)


def weights(checkpoint: Path) -> str:
    return hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder) if line["event"] == "step"]
