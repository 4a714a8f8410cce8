"""Hand a mixture on: write it in one of the forms, with its provenance beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simtool.errors import SimtoolError, unknown
from simtool.exports.exporters import EXPORTERS, Exporter
from simtool.exports.request import ExportRequest
from simtool.mixture import Mixture
from simtool.tables import atomic_write


@dataclass(frozen=True)
class Exported:
    """What was written.

    paths    the file, and its provenance (json)
    shares   the share of the tokens that each corpus has in the written text; None where none is written
    tokens   how many these are
    passes   by corpus: how often its text comes; 1 where no document comes twice
    """

    form: str
    mixture: Mixture
    paths: tuple[Path, ...]
    content_sha256: str
    shares: Mapping[str, float] | None = None
    tokens: int | None = None
    passes: Mapping[str, float] | None = None


def find_exporter(name: str) -> Exporter:
    """The exporter of this name; SimtoolError with the nearest names if there is none."""
    if name not in EXPORTERS:
        raise unknown("export", name, EXPORTERS)
    return EXPORTERS[name]


def export(request: ExportRequest, form: str, path: Path | None = None) -> Exported:
    """Write a mixture in one of the forms of `EXPORTERS`.

    Parameters
    ----------
    path
        In the working folder by default, mixture-trl.yaml or mixture.jsonl.

    Raises
    ------
    SimtoolError
        Where the form cannot say what the mixture is, or a corpus has too little text.
    """
    exporter = find_exporter(form)
    stem = "mixture" if exporter.ending == f".{form}" else f"mixture-{form}"
    path = Path(path) if path is not None else Path(stem + exporter.ending)
    beside = path.with_suffix(".json")
    if path == beside:
        raise SimtoolError(f"{path} is where the provenance is written. Name a file with another ending.")
    exporter.write(request, path)
    facts = request.facts
    sample = vars(request).get("sample")  # drawn by what was written, or not at all
    if sample is not None:
        facts |= {"documents": len(sample.documents), "tokens_written": int(sample.n_tokens.sum())}
        facts |= {"shares_written": sample.shares, "passes": dict(sample.passes)}
    with atomic_write(beside) as temporary:
        text = json.dumps({"form": form, "documented": exporter.source, **facts}, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    written = (sample.shares, int(sample.n_tokens.sum()), sample.passes) if sample is not None else ()
    return Exported(form, request.mixture, (path, beside), request.basis.get("content_sha256", ""), *written)
