"""Hand a mixture on to a trainer. `simtool.export_mixture("c4:0.8+starcoder:0.2", "trl")`."""

import hashlib
import json
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError, unknown
from simtool.exports.export import Exported, export, find_exporter
from simtool.exports.request import ExportRequest
from simtool.mixing.advice import Advice
from simtool.mixing.constraints import MAX_EPOCHS
from simtool.mixing.recommend import rounded
from simtool.mixture import Mixture, parse_mixture
from simtool.prediction.predict import load_prediction
from simtool.profiles.resolve import Options


def export_mixture(
    mixture: str | Mixture | Advice,
    form: str,
    path: Path | None = None,
    tokens: int | None = None,
    prediction: Path | None = None,
    seed: int = 0,
    max_epochs: float = MAX_EPOCHS,
    options: Options | None = None,
) -> Exported:
    """Write a mixture as a trainer's own data configuration, or as the mixed text itself.

    Parameters
    ----------
    mixture
        A name such as "c4:0.8+starcoder:0.2", what `mix` returned (its shares rounded to 1/10,000), or, with
        `prediction`, one of its mixtures.
    form
        axolotl, trl, litgpt, olmo-core, nanotron, levanter, megatron, jsonl or parquet.
    path
        mixture-trl.yaml, mixture.jsonl in the working folder by default; its provenance is written beside it.
    tokens
        Length of the mixed text, or of the run; axolotl, litgpt, jsonl and parquet need it.
    prediction
        A file that `predict` wrote; its hash goes along.
    max_epochs
        How often a corpus may be repeated.

    Raises
    ------
    SimtoolError
        Where the form cannot say what the mixture is, or a corpus has too little text.
    """
    find_exporter(form)
    shares, basis = _mixture_and_basis(mixture, prediction)
    request = ExportRequest(shares, tokens, seed, max_epochs, options or Options(), basis)
    return export(request, form, path)


def _mixture_and_basis(mixture: str | Mixture | Advice, prediction: Path | None) -> tuple[Mixture, dict[str, Any]]:
    """The shares, and what they rest on with its hash."""
    if isinstance(mixture, Advice):
        return rounded(mixture.recommendation.mixture), {"kind": "recommendation", "content_sha256": mixture.hash}
    if prediction is not None:
        predicted = load_prediction(prediction)
        name = predicted.find_mixture(str(mixture))
        if name not in predicted.mixtures:
            raise unknown("mixture", str(mixture), predicted.mixtures)
        basis = {"kind": "prediction", "content_sha256": predicted.hash, "mixture": name}
        return Mixture(predicted.content["mixtures"][name]), basis
    shares = parse_mixture(mixture) if isinstance(mixture, str) else mixture
    if not isinstance(shares, Mixture):
        raise SimtoolError(f"A mixture is a name such as c4:0.8+starcoder:0.2. Got {mixture!r}.")
    text = json.dumps(dict(shares.weights), sort_keys=True)
    return shares, {"kind": "mixture", "content_sha256": hashlib.sha256(text.encode()).hexdigest()}
