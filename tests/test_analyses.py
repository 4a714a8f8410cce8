"""Analyses: what each needs is told, and what they compute is checked against values by hand."""

import ast

import numpy as np
import polars as pl
import pytest

import analyses
from analyses import advantage_agreement, advantage_benefit, midtraining_cpt, study_cost, timing_weight
from analyses.__main__ import TABLES, main, names, parse
from simtool.errors import SimtoolError
from simtool.tables import load_table, save_table
from tests.plots.example_tables import effects, timing


def test_every_analysis_has_a_question_and_a_committed_table():
    for name in names():  # read, not imported: some need torch
        question = ast.get_docstring(ast.parse((TABLES.parent / f"{name}.py").read_text())).split("\n\n")[0]
        assert question.endswith("?"), name
        assert (TABLES / f"{name}.csv").exists() and (TABLES / f"{name}.json").exists(), name


def test_what_is_missing_is_told_and_the_rest_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("analyses.__main__.names", lambda: ["study_cost", "timing_weight", "tokenizer_cells"])
    main([], None, tmp_path)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("study_cost: 5 rows in ")
    assert told[1:] == [
        "timing_weight: not made, there is no table. It needs the table study_timing, which simtool train-eval makes.",
        "tokenizer_cells: not made, there is no table."
        " It needs the text of the corpora and the tokenizers: --data DIR or SIMTOOL_DATA.",
    ]
    with pytest.raises(SimtoolError) as caught:
        main(["timing_weight"], None, tmp_path)
    assert str(caught.value) == (
        "timing_weight cannot be made here: there is no table.\n"
        "It needs the table study_timing, which simtool train-eval makes."
    )
    with pytest.raises(SimtoolError, match=r"Unknown analysis 'study_cots'. Did you mean 'study_cost'"):
        main(["study_cots"], None, tmp_path)


def test_the_data_folder_is_read_from_the_arguments(tmp_path):
    assert parse(["a", "--data", str(tmp_path), "b"]) == (["a", "b"], tmp_path)
    assert parse(["a"]) == (["a"], None)
    with pytest.raises(SimtoolError, match="No data folder /nowhere"):
        parse(["--data", "/nowhere"])


def test_cost_of_a_trunk_with_two_arms():
    # trunk of 10 steps; arms from step 4 and 6 add 6 and 4: 20 of 3 x 10, at 5 tokens a step
    assert study_cost.cost((10, 4, 6), steps=10, step_tokens=5) == {
        "n_runs": 3, "tokens_shared": 100, "tokens_separate": 150,
    }  # fmt: skip


def test_without_a_control_the_trunk_ends_at_the_last_fork():
    assert study_cost.cost((4, 6), steps=10, step_tokens=1)["tokens_shared"] == 6 + 6 + 4


def test_effects_of_start_and_weight_are_those_that_were_put_in():
    found = {key: value[0] for key, value in timing_weight._effects(cells("confounded")).items()}
    # improvement = 0.1 (1 - start) + 0.1 weight: 10 points of either change it by 0.01
    assert found == pytest.approx(dict(zip(timing_weight.EFFECTS, (0.01, 0.01, 0.0), strict=True)), abs=1e-12)
    fixed = timing_weight._effects(cells("exposure"))
    value, low, high = fixed[timing_weight.EFFECTS[0]]
    assert value == pytest.approx(0, abs=1e-12) and low < 0 < high


def cells(design: str) -> pl.DataFrame:
    return timing().filter((pl.col("design") == design) & (pl.col("target") == "pycode"))


def test_one_start_says_nothing_of_starts():
    one_start = cells("exposure").filter(pl.col("start") == 0.1)
    value, low, high = timing_weight._effects(one_start)[timing_weight.EFFECTS[0]]
    assert np.isnan([value, low, high]).all()


def test_a_study_joins_the_published_tables(tmp_path):
    published, facts = load_table(TABLES / "published_forgetting.csv")
    save_table(published, tmp_path / "published_forgetting.csv", facts)
    save_table(effects(), tmp_path / "study_effects.csv", {"pretrain": "c4"})
    table, _ = midtraining_cpt.make(tmp_path)
    assert set(table["source"]) == {"published", "study"}
    assert table.filter(pl.col("source") == "published")["size"].unique().to_list() == ["160m"]
    points = advantage_benefit._of_study(effects(), {})
    assert set(points["mix"]) == {"starcoder", "math"} and points.height == 8
    pooled = advantage_benefit.tables_of(points)["study", "pooled", points["predictor"][0]]
    assert pooled.height == 4


def test_leaving_out_a_pair_is_the_correlation_of_the_others():
    rng = np.random.default_rng(0)
    predicted, observed = rng.normal(size=(2, 3, 3))
    observed[0, 0] = np.nan
    arms = [("starcoder", 0.2), ("starcoder", 1.0), ("math", 0.1)]
    rows = {row["left_out"]: row for row in advantage_agreement._rows(arms, ["a", "b", "c"], predicted, observed)}
    assert len(rows) == 1 + 3 + 8 and rows[""]["n"] == 8
    kept = np.isfinite(observed)
    kept[1, 2] = False
    row = rows["pair starcoder:1 -> c"]
    assert row["n"] == 7
    assert row["pearson"] == pytest.approx(np.corrcoef(predicted[kept], observed[kept])[0, 1])
    kept = np.isfinite(observed)
    kept[:, 1] = False
    assert rows["target b"]["pearson"] == pytest.approx(np.corrcoef(predicted[kept], observed[kept])[0, 1])
    assert rows["target b"]["n"] == 5


def test_a_missing_profile_is_told():
    with pytest.raises(analyses.Missing, match="It needs a profile of nothing under default, and none ships"):
        analyses.shipped_profile("nothing", "default", ())
