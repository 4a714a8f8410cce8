"""Every figure draws from tables of the columns it is promised, the same bytes each time, with nothing cut off."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from simtool import plots
from simtool.errors import SimtoolError
from simtool.tables import load_table, save_table

TABLES = Path(__file__).parents[2] / "analyses" / "tables"
TARGETS = ("pycode", "gsm8k")
ARMS = (("starcoder", 0.2, "midtrain"), ("math", 0.12, "midtrain"), ("starcoder", 1.0, "cpt"), ("math", 1.0, "cpt"))


def effects() -> pl.DataFrame:
    rows = []
    for size, (mix, weight, kind), target in itertools.product(("tiny", "small"), ARMS, TARGETS):
        gain = 0.08 if (mix, target) in (("starcoder", "pycode"), ("math", "gsm8k")) else -0.004
        rows.append(
            {"size": size, "design": "paper", "arm": f"{mix} {weight:g}", "kind": kind, "mix": mix, "weight": weight,
             "start": 0.1, "target": target, "n_seeds": 3, "control_loss": 2.0, "loss": 2.0 * (1 - gain),
             "relative_improvement": gain, "low": gain - 0.01, "high": gain + 0.01, "forgetting_difference": 0.05,
             "forgetting_low": 0.02, "forgetting_high": 0.08, "predicted": gain * 9, "predicted_low": gain * 9 - 0.1,
             "predicted_high": gain * 9 + 0.1}
        )  # fmt: skip
    return pl.DataFrame(rows)


def agreements() -> pl.DataFrame:
    return pl.DataFrame(
        {"size": ["tiny", "small"], "predictor": ["predicted"] * 2, "left_out": [""] * 2, "n": [4, 4],
         "pearson": [0.9, None], "pearson_low": [0.2, None], "pearson_high": [1.0, None]}
    )  # fmt: skip


def timing() -> pl.DataFrame:
    rows = []
    grid = itertools.product(("confounded", "exposure", "both"), (0.1, 0.4, 0.7), (0.1, 0.2, 0.5), TARGETS)
    for design, start, weight, target in grid:
        gain = 0.1 * (1 - start) * (design == "confounded") + 0.1 * weight
        rows.append(
            {"size": "tiny", "design": design, "mix": "starcoder", "start": start, "weight": weight, "target": target,
             "n_seeds": 3, "relative_improvement": gain, "low": gain - 0.01, "high": gain + 0.01,
             "special_tokens": 10**6, "forgetting_difference": 0.0}
        )  # fmt: skip
    return pl.DataFrame(rows)


def losses() -> pl.DataFrame:
    rows = [
        {"size": "tiny", "design": "paper", "arm": arm, "target": target, "seed": seed, "loss": 2.0 + 0.1 * seed}
        for arm, target, seed in itertools.product(("control", "starcoder_20%"), TARGETS, (0, 1, 2))
    ]
    return pl.DataFrame(rows)


def representation() -> pl.DataFrame:
    rows = itertools.product(("control", "starcoder 0.2"), TARGETS, (0, 1), range(6))
    return pl.DataFrame(
        [
            {"size": "tiny", "arm": arm, "target": target, "seed": seed, "layer": layer, "cka": 1 - 0.05 * layer,
             "low": 0.97 - 0.05 * layer, "high": 1 - 0.04 * layer}
            for arm, target, seed, layer in rows
        ]
    )  # fmt: skip


def matrix() -> pl.DataFrame:
    names = ("c4", "<script>", "gsm8k")
    rows = [
        {"row": a, "column": b, "value": v, "low": v - 0.05, "high": v + 0.05,
         "at_ceiling": False, "metric": "token", "feature": "token", "tokens": 1000, "row_stand_in": a == "c4"}
        for a, b in itertools.product(names, names)
        for v in (0.9 if a == b else 0.5,)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def advantage() -> pl.DataFrame:
    rows = [
        {"target": target, "mixture": mix, "advantage": 0.1 * i, "low": 0.1 * i - 0.05, "high": 0.1 * i + 0.05,
         "metric": "token", "feature": "token"}
        for target in TARGETS
        for i, mix in enumerate(("starcoder", "math", "a corpus of mine"))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def curve() -> pl.DataFrame:
    share = np.linspace(0, 1, 5)
    return pl.concat(
        pl.DataFrame(
            {"special": "starcoder:1", "target": target, "share": share, "advantage": share, "low": share - 0.1,
             "high": share + 0.1, "peak": 1.0, "metric": "token", "feature": "token"}
        )
        for target in TARGETS
    )  # fmt: skip


def tournament() -> pl.DataFrame:
    committed = load_table(TABLES / "predictor_tournament.csv")[0]
    return committed.filter(pl.col("size") == "410m").with_columns(size=pl.lit("tiny"))


def cost() -> pl.DataFrame:
    return pl.DataFrame({"study": ["timing"], "tokens_shared": [3 * 10**8], "tokens_separate": [10**9], "n_runs": [8]})


# What only a study or --save makes; every other table is committed.
MADE_UP = {
    "study_effects": effects, "study_agreement": agreements, "study_timing": timing, "study_losses": losses,
    "similarity_matrix": matrix,
    "representation_change": representation, "advantage": advantage, "advantage_curve": curve,
    "predictor_tournament_study": tournament, "study_cost": cost,
}  # fmt: skip


def table(name: str) -> pl.DataFrame:
    if name in MADE_UP:
        return MADE_UP[name]()
    if not (TABLES / f"{name}.csv").exists():
        pytest.skip(f"the table {name} is not made yet: python -m analyses {name}")
    return load_table(TABLES / f"{name}.csv")[0]


@pytest.mark.parametrize("name", plots.names())
def test_every_figure_draws_in_the_width_of_a_column_with_nothing_cut_or_overlapping(name):
    figure = plots.figure_of(name, *(table(one) for one in plots.tables_of(name)))
    with plots.paper_style():
        figure.draw_without_rendering()
    assert figure.get_figwidth() <= plots.DOUBLE or name == "similarity_matrix"
    renderer = figure._get_renderer()
    page = figure.bbox
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        inside = box.x0 >= page.x0 - 2 and box.y0 >= page.y0 - 2 and box.x1 <= page.x1 + 2 and box.y1 <= page.y1 + 2
        assert inside, (name, axes.get_title(), box)
        for axis in (axes.xaxis, axes.yaxis):
            labels = [one for one in axis.get_ticklabels() if one.get_text() and one.get_visible()]
            boxes = [one.get_window_extent(renderer) for one in labels if not one.get_rotation() % 90]
            shown = [one for one in boxes if axes.bbox.x0 - 80 <= one.x0 <= axes.bbox.x1]
            for one, other in itertools.pairwise(shown):
                assert not one.overlaps(other) or one.width * other.width == 0, (name, axes.get_title())
    sizes = [one.get_fontsize() for one in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
    assert min(sizes) >= 3.8, name  # points


def test_every_figure_has_a_sentence():
    for name in plots.names():
        assert plots.find_figure(name).__doc__.split("\n")[0].rstrip('"').endswith((".", ":", ",")), name


SCRIPT = """
import os, sys
from simtool.cli import main
from simtool.cli import figures as draw
os.cpu_count, draw.FOR_A_PROCESS = lambda: 2, int(sys.argv[3])
sys.argv = ["simtool", "figures", "--tables", sys.argv[1], "--out", sys.argv[2]]
main()
"""


def test_two_processes_draw_the_same_bytes(tmp_path):
    for name in ("similarity_matrix", "advantage", "study_timing", "study_effects"):
        save_table(MADE_UP[name](), tmp_path / "tables" / f"{name}.csv", {})
    digests = []
    for seed, for_a_process in (("1", "99"), ("2", "2")):  # the second time two more processes draw
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "tables"), str(out), for_a_process],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()})
    assert digests[0] == digests[1]
    assert {name.split(".")[0] for name in digests[0]} == {
        *("similarity_matrix", "advantage", "timing_weight", "timing_heatmap", "study_losses"),
    }


def test_fonts_are_embedded_in_the_pdf(tmp_path):
    paths = plots.draw("similarity_matrix", {"similarity_matrix": matrix()}, tmp_path)
    pdf = next(path for path in paths if path.suffix == ".pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_a_name_that_looks_like_markup_stays_text_in_the_svg(tmp_path):
    paths = plots.draw("similarity_matrix", {"similarity_matrix": matrix()}, tmp_path)
    svg = next(path for path in paths if path.suffix == ".svg").read_text()
    assert "&lt;script&gt;" in svg and "<script" not in svg


def test_latex_has_each_mean_with_its_interval(tmp_path):
    save_table(losses(), tmp_path / "study_losses.csv", {})
    save_table(effects(), tmp_path / "study_effects.csv", {})
    text = plots.find_figure("study_losses").latex(losses())
    # 2.0, 2.1, 2.2: mean 2.1; t(2) at 97.5% is 4.303, sd 0.1, so 4.303 * 0.1 / sqrt(3) = 0.248
    assert r"control & 2.100 ± 0.248 & 2.100 ± 0.248 \\" in text
    assert r"starcoder\_20\% & " in text
    assert r"\begin{tabular}{lrr}" in text


def test_latex_of_the_published_losses():
    text = plots.find_figure("published_losses").latex(table("published_results"))
    assert r"StarCoder 20\% & 2.091 & 0.944 & 3.422 & 3.261 \\" in text
    assert r"FLAN 5\% & -- & -- & " in text  # not published at 1B


def test_a_missing_table_is_one_message(tmp_path):
    with pytest.raises(SimtoolError) as caught:
        plots.draw_from_folder("ceilings", tmp_path, tmp_path)
    assert str(caught.value) == f"ceilings is drawn from corpus_similarity, which {tmp_path} lacks.\n{plots.MAKE}"
    with pytest.raises(SimtoolError, match=r"Unknown figure 'ceiling'. Did you mean 'ceilings'"):
        plots.draw_from_folder("ceiling", tmp_path, tmp_path)
    with pytest.raises(SimtoolError, match=r"ceilings has no LaTeX table. Those that have one: published_losses"):
        plots.draw_from_folder("ceilings", tmp_path, tmp_path, latex=True)


# --- Colours ---

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: deuteranopia and protanopia, on linear RGB
DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, white D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    t = np.clip(xyz, 0, None) / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["full", "deuteranopia", "protanopia"])
@pytest.mark.parametrize(
    "together", [("starcoder", "math", "flan", "knowledgeqa", "dclm"), ("pycode", "gsm8k", "lima", "sciq")]
)
def test_corpora_of_one_figure_are_told_apart_by_every_reader(sight, together):
    seen = {name: lab(np.clip(sight @ linear(plots.color_of(name)), 0, 1)) for name in together}
    for one, other in itertools.combinations(together, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 9, (one, other)  # 2 is just visible side by side


def test_every_corpus_has_a_colour_of_its_own():
    assert len(set(plots.CORPUS_COLORS.values())) == len(plots.CORPUS_COLORS)
    assert plots.color_of("mine.jsonl") == plots.color_of("mine.jsonl")
