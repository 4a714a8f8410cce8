"""Everything about corpora on one page: `simtool.report(["c4", "starcoder", "gsm8k"], "report.html")`."""

from collections.abc import Sequence
from pathlib import Path

from simtool.errors import SimtoolError
from simtool.page.gather import VIEWS, gather
from simtool.page.render import render
from simtool.profiles.resolve import Options
from simtool.similarity.matrix import RESAMPLES
from simtool.tables import atomic_write, provenance


def report(
    corpora: Sequence[str],
    out: Path,
    pretrain: str | None = None,
    mid: Sequence[str] = (),
    targets: Sequence[str] = (),
    study: Path | None = None,
    views: Sequence[str] = VIEWS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Path:
    """Write one page about these corpora to `out`: a file that opens from disk, without a network.

    pretrain, mid, targets   as in `advantage`; by default what the catalogue says of the corpora named
    study                    folder of a study, whose tables are shown as well
    views                    matrices to switch between, METRIC.FEATURE; the first is shown first
    """
    out = Path(out)
    if out.is_dir():
        raise SimtoolError(f"{out} is a folder. Name a file: --out {out / 'report.html'}.")
    findings = gather(corpora, pretrain, mid, targets, study, views, resamples, seed, options)
    page = render(findings, provenance())
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out
