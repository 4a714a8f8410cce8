"""A prediction is scored as the definitions say, by the statistic of results."""

from math import isnan

import numpy as np
import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.prediction.predict import Prediction
from simtool.prediction.scoring import attainable
from simtool.prediction.verify import _with_improvement, same_domain, verify
from simtool.statistics import agreement

NAMES = ["code", "math", "prose"]
TARGETS = ["pycode", "gsm8k"]
ADVANTAGE = np.array([[0.5, 0.1], [0.2, 0.7], [-0.1, 0.05]])


def made_of(mixtures: list[str], targets: list[str], advantage: np.ndarray, apart: dict | None = None) -> Prediction:
    cells = [
        {"mixture": m, "target": t, "advantage": advantage[i, j], "share_positive": float(advantage[i, j] > 0)}
        for i, m in enumerate(mixtures)
        for j, t in enumerate(targets)
    ]
    shares = {name: {"c4": 0.8, name.split(":")[0]: 0.2} for name in mixtures}
    content = {"pretrain": {"c4": 1.0}, "mixtures": shares, "targets": targets, "cells": cells}
    return Prediction({**content, "distinguishable": apart or {}})


@pytest.fixture
def prediction() -> Prediction:
    apart = {"pycode": [["code", "math"], ["code", "prose"]], "gsm8k": [["math", "code"]]}
    return made_of(NAMES, TARGETS, ADVANTAGE, apart)


def results(improvement: dict[tuple[str, str], float | None], **columns) -> pl.DataFrame:
    rows = [{"mix": mix, "target": target, "relative_improvement": x} for (mix, target), x in improvement.items()]
    return pl.DataFrame(rows).with_columns(**columns)


def perfect(prediction: Prediction) -> dict[tuple[str, str], float | None]:
    """What happened is what was predicted."""
    values = prediction.of("advantage")
    return {(m, t): values[i, j] for i, m in enumerate(NAMES) for j, t in enumerate(TARGETS)}


def test_a_perfect_prediction(prediction):
    (score,) = verify(prediction, results(perfect(prediction))).scores
    assert score.spearman == pytest.approx(1)
    assert score.low > 0 and score.high == pytest.approx(1)
    assert score.regret == {"pycode": 0, "gsm8k": 0}
    assert score.apart_right[0] == score.apart_right[1] > 0
    assert score.best == {"pycode": "code", "gsm8k": "math"}
    assert score.p_value == pytest.approx(1 / 12)  # of 3! orders of mixtures and 2! of targets, none is as good


def test_regret_and_order_by_hand(prediction):
    """For pycode the predicted best, code, comes 0.03 behind math; chance would lose 0.05 - (.02 + .05 + .02) / 3."""
    happened = perfect(prediction)
    happened |= {("code", "pycode"): 0.02, ("math", "pycode"): 0.05, ("prose", "pycode"): 0.02}
    (score,) = verify(prediction, results(happened)).scores
    assert score.regret["pycode"] == pytest.approx(0.03)
    assert score.regret_chance["pycode"] == pytest.approx(0.02)
    assert score.predicted_best["pycode"] == "code" and score.best["pycode"] == "math"
    assert score.apart_right[1] + score.others_right[1] == 5  # 3 pairs a target, less the tie of code and prose


def test_the_statistic_is_that_of_results(prediction):
    """Whole mixtures and whole targets are moved and drawn, as in a study's results."""
    happened = perfect(prediction) | {("prose", "gsm8k"): 0.3}
    (score,) = verify(prediction, results(happened), seed=5).scores
    observed = np.array([[happened[m, t] for t in TARGETS] for m in NAMES])
    overall = agreement(prediction.of("advantage"), observed, seed=5)
    assert (score.spearman, score.low, score.high) == (
        overall.spearman, overall.spearman_low, overall.spearman_high,
    )  # fmt: skip
    assert score.p_value == overall.p


def test_under_the_null_p_is_not_too_small():
    """Mixtures that help all targets alike, in an order the prediction does not know: 5% of p are below 5%.

    Permuting each target by itself called 13% significant, for it takes the cells of one mixture as independent.
    """
    rng, small = np.random.default_rng(0), 0
    for _ in range(200):
        advantage, improvement = (rng.normal(size=(5, 1)) + 0.5 * rng.normal(size=(5, 4)) for _ in range(2))
        names, targets = [f"m{i}" for i in range(5)], [f"t{j}" for j in range(4)]
        happened = {(m, t): improvement[i, j] for i, m in enumerate(names) for j, t in enumerate(targets)}
        (score,) = verify(made_of(names, targets, advantage), results(happened)).scores
        small += score.p_value < 0.05
    assert small <= 18  # 10 expected; P(more than 18 | 5%) < 1%


def test_too_few_cells_for_a_statistic():
    (score,) = verify(
        made_of(["a", "b"], ["t"], np.array([[1.0], [2.0]])), results({("a", "t"): 0.1, ("b", "t"): 0.2})
    ).scores
    assert score.spearman == pytest.approx(1)
    assert isnan(score.p_value) and isnan(score.low) and isnan(score.high)


def test_losses_and_a_control_give_the_improvement(prediction):
    """(2 - 1.9) / 2 = 5%; the control is the row of the pretraining corpus."""
    losses = pl.DataFrame(
        [{"mix": m, "target": t, "loss": 2 - 0.1 * (m == "code")} for m in ["c4", *NAMES] for t in TARGETS]
    )
    given = pl.DataFrame([{"mix": m, "target": t, "loss": 2 - 0.1 * (m == "code")} for m in NAMES for t in TARGETS])
    for table in (losses, given.with_columns(control_loss=2.0)):
        (score,) = verify(prediction, table).scores
        assert score.regret["gsm8k"] == pytest.approx(0.05)
        assert score.best == {"pycode": "code", "gsm8k": "code"}


def test_sizes_are_scored_apart_and_seeds_averaged(prediction):
    tables = [
        results(perfect(prediction), size=pl.lit(size), seed=pl.lit(seed))
        for size in ("70m", "160m")
        for seed in (0, 1)
    ]
    scores = verify(prediction, pl.concat(tables)).scores
    assert [score.size for score in scores] == ["70m", "160m"]
    assert all(score.n_cells == 6 for score in scores)


def test_the_table_has_a_row_a_target(prediction):
    table = verify(prediction, results(perfect(prediction))).to_polars()
    assert table["target"].to_list() == TARGETS
    assert {"spearman", "regret", "low", "brier"} <= set(table.columns)


def test_missing_cells_are_listed(prediction):
    happened = perfect(prediction)
    del happened["code", "gsm8k"]
    happened["prose", "pycode"] = None
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, results(happened, size=pl.lit("70m")))
    assert str(caught.value) == (
        "The results lack 2 cells: code on gsm8k at 70m; prose on pycode at 70m."
        " Where they say nan or inf, or nothing, there is no value.\n"
        "Give every cell, choose a --size that has them, or predict fewer."
    )


def test_unknown_names_are_listed(prediction):
    happened = {**perfect(prediction), ("dclm", "pycode"): 0.1, ("code", "lima"): 0.1}
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, results(happened))
    assert str(caught.value) == (
        "The results name what the prediction does not: mix 'dclm', target 'lima'.\n"
        "Predicted are the mixes code, math, prose and the targets pycode, gsm8k."
    )


@pytest.fixture
def with_shares() -> Prediction:
    return made_of(["code:0.2", "math:0.2", "math:0.3"], TARGETS, ADVANTAGE)


def test_results_may_name_mixtures_with_or_without_shares(with_shares):
    values = with_shares.of("advantage")
    rows = [
        {"mix": mix, "weight": weight, "target": target, "relative_improvement": values[i, j]}
        for i, (mix, weight) in enumerate([("code", None), ("math", 0.2), ("math:0.3", None)])
        for j, target in enumerate(TARGETS)
    ]
    (score,) = verify(with_shares, pl.DataFrame(rows)).scores
    assert score.spearman == pytest.approx(1)


def test_a_short_name_of_two_mixtures_is_refused(with_shares):
    table = results({(mix, t): 0.1 for mix in ("code:0.2", "math") for t in TARGETS})
    with pytest.raises(SimtoolError) as caught:
        verify(with_shares, table)
    assert str(caught.value) == (
        "The results name what the prediction does not: mix 'math'.\n"
        "Predicted are the mixes code:0.2, math:0.2, math:0.3 and the targets pycode, gsm8k."
    )


def test_two_rows_for_one_cell(prediction):
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, pl.concat([results(perfect(prediction)), results({("code", "pycode"): 0.1})]))
    assert str(caught.value) == (
        "The results have several rows for: code on pycode.\nName the runs in a column `seed`, or keep one."
    )


def test_no_control(prediction):
    table = results(perfect(prediction)).rename({"relative_improvement": "loss"})
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, table)
    assert str(caught.value) == ("The results have no control: give a column control_loss, or rows whose mix is 'c4'.")


def test_columns_that_lack(prediction):
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, pl.DataFrame({"mix": ["code"], "value": [1.0]}))
    assert str(caught.value) == (
        "The results need the columns mix, target and relative_improvement (or loss). Got: mix, value."
    )


def as_text(prediction: Prediction, value: str) -> pl.DataFrame:
    """Results as a csv with one odd cell has them: the column is text."""
    table = results(perfect(prediction)).with_columns(pl.col("relative_improvement").cast(pl.String))
    first = pl.arange(pl.len()) == 0
    return table.with_columns(relative_improvement=pl.when(first).then(pl.lit(value)).otherwise("relative_improvement"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("7%", "The results hold what is no number in the column relative_improvement: '7%'.\n"
         "Write numbers, and shares as such: 0.07 for 7%."),
        *((text, "The results lack 1 cells: code on pycode. Where they say nan or inf, or nothing, there is no value.\n"
           "Give every cell, choose a --size that has them, or predict fewer.") for text in ("nan", "NA", " ", "inf")),
    ],
)  # fmt: skip
def test_cells_that_are_no_numbers_are_one_message(prediction, value, message):
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, as_text(prediction, value))
    assert str(caught.value) == message


def test_numbers_written_as_text_are_numbers(prediction):
    of_text, of_numbers = (
        verify(prediction, table).scores for table in (as_text(prediction, " 0.5 "), results(perfect(prediction)))
    )
    assert repr(of_text) == repr(of_numbers)  # NaN is not equal to itself


def test_constant_results_are_one_message(prediction):
    constant = dict.fromkeys(perfect(prediction), 0.1)
    with pytest.raises(SimtoolError) as caught:
        verify(prediction, results(constant, size=pl.lit("70m")))
    assert str(caught.value) == (
        "The results do not vary at 70m: the relative improvement is 0.1 in all 6 cells. There is nothing to rank."
    )


def test_results_without_rows(prediction):
    with pytest.raises(SimtoolError, match=r"^The results have no rows\.$"):
        verify(prediction, results(perfect(prediction)).head(0))


def test_json_of_results_that_vary_on_one_target_only_is_json(prediction, capsys):
    import json

    from simtool.display.mix import print_verification

    happened = perfect(prediction) | {(mix, "gsm8k"): 0.1 for mix in NAMES}
    found = verify(prediction, results(happened))
    print_verification(found, "json")
    rows = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["rows"]
    assert [row["spearman_target"] for row in rows] == [pytest.approx(1), None]
    print_verification(found, "table")
    assert "nan" not in capsys.readouterr().out


def test_the_noise_of_seeds_says_what_a_perfect_prediction_would_have(prediction):
    rng = np.random.default_rng(0)
    seeds = [results({cell: x + 0.1 * rng.normal() for cell, x in perfect(prediction).items()}) for _ in range(3)]
    table = pl.concat([part.with_columns(seed=pl.lit(seed)) for seed, part in enumerate(seeds)])
    verification = verify(prediction, table)
    (score,) = verification.scores
    runs = np.array([part["relative_improvement"].to_numpy().reshape(3, 2) for part in seeds])
    expected = attainable(runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(3))
    assert score.attainable == expected and 0.5 < expected.spearman < 1
    assert verification.to_polars()["attainable_spearman"][0] == expected.spearman
    (of_one,) = verify(prediction, results(perfect(prediction))).scores  # how seeds vary is not known
    assert of_one.attainable is None


def test_the_same_domain_baseline_is_of_what_is_mixed_in(prediction):
    # math is the domain of gsm8k, and code (no corpus of the catalogue) of nothing
    assert same_domain(prediction).tolist() == [[0, 0], [0, 1], [0, 0]]
    (score,) = verify(prediction, results(perfect(prediction))).scores
    assert score.beyond.n_unmatched == 5
    assert score.beyond.partial == pytest.approx(1)
    others = made_of(["code", "prose"], TARGETS, ADVANTAGE[[0, 2]])
    table = results({(m, t): x for (m, t), x in perfect(prediction).items() if m != "math"})
    assert verify(others, table).scores[0].beyond is None


def test_a_run_is_compared_with_the_control_of_its_seed():
    rows = [("c4", 0, 2.0), ("c4", 1, 4.0), ("code", 0, 1.0), ("code", 1, 3.0)]
    results = pl.DataFrame([{"mix": mix, "target": "t", "seed": seed, "loss": loss} for mix, seed, loss in rows])
    table = _with_improvement(results, "c4").filter(pl.col("mix") == "code").sort("seed")
    assert table["relative_improvement"].to_list() == [1 - 1 / 2, 1 - 3 / 4]
