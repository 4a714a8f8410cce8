"""Everything about corpora on one page: `simtool.report(["c4", "starcoder", "gsm8k"], "report.html")`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simtool.api.names import as_mixture_texts, as_names
from simtool.errors import SimtoolError
from simtool.page.gather import VIEWS, gather
from simtool.page.render import render
from simtool.profiles.resolve import Options, named
from simtool.similarity.matrix import RESAMPLES
from simtool.studies.prepare import find_study
from simtool.tables import atomic_write, provenance


def report(
    corpora: Any,
    out: Path,
    pretrain: str | None = None,
    mid: Mapping[str, float] | Sequence[str] | str = (),
    targets: Mapping[str, float] | Sequence[str] | str = (),
    study: Path | None = None,
    sweep: Path | None = None,
    views: Sequence[str] = VIEWS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
    examples: int = 0,
) -> Path:
    """Write one page about these corpora to `out`: a file that opens from disk, without a network.

    Parameters
    ----------
    corpora
        As in `matrix`: names, paths, or {name: texts, a DataFrame, a data set}.
    pretrain, mid, targets
        As in `advantage`; by default what the catalogue says of the corpora named. Text of your own is mixed in.
    study
        Folder of a study, whose tables are shown as well; corpora are then counted as the study counted them.
    sweep
        Folder of what `simtool sweep --save` wrote, to show what proxy runs say.
    views
        Matrices to switch between, METRIC.FEATURE; the first is shown first.
    examples
        So many documents are excerpted behind each n-gram of a pair, where the text is at hand: their text is then on
        the page.

    Returns
    -------
    The path of the page.

    Raises
    ------
    SimtoolError
        Where `out` is a folder, fewer than two corpora are named, or the study or the sweep has no tables.
    """
    out = Path(out)
    if out.is_dir():
        raise SimtoolError(f"{out} is a folder. Name a file: --out {out / 'report.html'}.")
    names, options = named(corpora, _as_in_study(study, options or Options()))
    how = (views, resamples, seed, options, examples)
    findings = gather(names, pretrain, as_mixture_texts(mid), as_names(targets), study, sweep, *how)
    page = render(findings, provenance())
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def _as_in_study(study: Path | None, options: Options) -> Options:
    """Options under which a study's profiles are found again, and no more of a large corpus is counted than it did."""
    if study is None or not (Path(study) / "study.json").exists():
        return options
    plan = find_study(study)
    sample = plan.profiled if options.sample is None else min(options.sample, plan.profiled)
    return replace(options, tokenizer=plan.tokenizer, sample=sample)
