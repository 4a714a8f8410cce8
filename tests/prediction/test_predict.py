"""A prediction is kept as it was made, and scored as the definitions say."""

import json
from dataclasses import replace
from math import atanh, isnan, sqrt, tanh

import numpy as np
import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.advantage import Question
from simtool.prediction.predict import (
    Prediction,
    counts_hash,
    load_prediction,
    predict,
    save_prediction,
    spearman_interval,
    verify,
)
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile

C4 = Mixture({"c4": 1.0})
NAMES = ["code", "math", "prose"]
TARGETS = ["pycode", "gsm8k"]


def profile_of(name: str, shift: int, seed: int) -> Profile:
    rng = np.random.default_rng(seed)
    shares = np.roll(1 / np.arange(1, 201) ** 1.1, shift)
    counts = np.array([rng.multinomial(500, shares / shares.sum()) for _ in range(N_FOLDS)])
    sizes = np.full(N_FOLDS, 500)
    return Profile(
        name, "toy", "f" * 64, sizes // 50, sizes, sizes * 4, {"token": counts}, {}, {"source": f"file {name}"}
    )


@pytest.fixture(scope="module")
def question() -> Question:
    shifts = {"c4": 0, "starcoder": 50, "math_text": 120, "books": 3, "pycode": 52, "gsm8k": 121}
    profiles = {name: profile_of(name, shift, seed) for seed, (name, shift) in enumerate(shifts.items())}
    specials = dict(zip(NAMES, ("starcoder", "math_text", "books"), strict=True))
    mixtures = {name: Mixture({"c4": 0.8, special: 0.2}) for name, special in specials.items()}
    return Question(profiles, C4, mixtures, tuple(TARGETS), resamples=50, seed=3)


@pytest.fixture(scope="module")
def prediction(question) -> Prediction:
    return predict(question, "cross_entropy.token")


def results(improvement: dict[tuple[str, str], float | None], **columns) -> pl.DataFrame:
    rows = [{"mix": mix, "target": target, "relative_improvement": x} for (mix, target), x in improvement.items()]
    return pl.DataFrame(rows).with_columns(**columns)


def perfect(prediction: Prediction) -> dict[tuple[str, str], float | None]:
    """What happened is what was predicted."""
    values = prediction.of("advantage")
    return {(m, t): values[i, j] for i, m in enumerate(NAMES) for j, t in enumerate(TARGETS)}


# --- Kept as it was made ---


def test_what_it_holds(prediction, question):
    content = prediction.content
    assert content["predictor"]["name"] == "cross_entropy.token"
    assert content["made_from"]["tokenizer_fingerprint"] == "f" * 64
    assert content["made_from"]["seed"] == 3
    corpus = content["made_from"]["corpora"]["starcoder"]
    assert corpus["source"] == "file starcoder"
    assert corpus["tokens"] == 8000
    assert corpus["counts_sha256"] == counts_hash(question.profiles["starcoder"], ["token"])
    best = prediction.to_polars().filter(pl.col("rank") == 1)
    assert dict(zip(best["target"], best["mixture"], strict=True)) == {"pycode": "code", "gsm8k": "math"}
    assert ["code", "math"] in content["told_apart"]["pycode"]


def test_what_is_loaded_is_what_was_saved(prediction, tmp_path):
    save_prediction(prediction, tmp_path / "prediction.json")
    loaded = load_prediction(tmp_path / "prediction.json")
    assert loaded == prediction
    assert loaded.hash == prediction.hash


def test_white_space_may_change(prediction, tmp_path):
    path = tmp_path / "prediction.json"
    save_prediction(prediction, path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert load_prediction(path).hash == prediction.hash


def test_an_edit_is_noticed(prediction, tmp_path):
    path = tmp_path / "prediction.json"
    save_prediction(prediction, path)
    edited = json.loads(path.read_text())
    edited["cells"][0]["rank"] = 2
    path.write_text(json.dumps(edited))
    with pytest.raises(SimtoolError) as caught:
        load_prediction(path)
    assert str(caught.value) == (
        f"{path} was edited after it was made: its content does not match its hash {prediction.hash[:16]}.\n"
        "A prediction that was edited cannot be verified. Restore the file, or predict again."
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"content_sha256": "ab"}', "3"])
def test_another_file(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(SimtoolError) as caught:
        load_prediction(path)
    assert str(caught.value) == (f"{path} is not a prediction. Make one: simtool predict ... --out prediction.json.")


def test_no_file(tmp_path):
    with pytest.raises(SimtoolError) as caught:
        load_prediction(tmp_path / "none.json")
    assert str(caught.value) == f"Cannot read the prediction {tmp_path / 'none.json'}: No such file or directory."


def test_the_hash_of_counts_sees_every_count():
    one = profile_of("one", 0, 0)
    counts = one.features["token"].copy()
    counts[0, 0] += 1
    counts[1, 0] -= 1  # the sums stay
    other = Profile(**{**vars(one), "features": {"token": counts}})
    assert counts_hash(one, ["token"]) != counts_hash(other, ["token"])


# --- Scored ---


def test_a_perfect_prediction(prediction):
    (score,) = verify(prediction, results(perfect(prediction))).scores
    assert score.spearman == pytest.approx(1)
    assert isnan(score.low) and isnan(score.high)
    assert score.regret == {"pycode": 0, "gsm8k": 0}
    assert score.apart_right[0] == score.apart_right[1] > 0
    assert score.best == {"pycode": "code", "gsm8k": "math"}
    assert score.p_value < 0.1  # two targets of 3! orders each: 1 of 36 is as good


def test_regret_and_order_by_hand(prediction):
    """For pycode the predicted best, code, comes 0.03 behind math; chance would lose 0.05 - (.02 + .05 + .02) / 3."""
    happened = perfect(prediction)
    happened |= {("code", "pycode"): 0.02, ("math", "pycode"): 0.05, ("prose", "pycode"): 0.02}
    (score,) = verify(prediction, results(happened)).scores
    assert score.regret["pycode"] == pytest.approx(0.03)
    assert score.regret_chance["pycode"] == pytest.approx(0.02)
    assert score.predicted_best["pycode"] == "code" and score.best["pycode"] == "math"
    assert score.apart_right[1] + score.others_right[1] == 5  # 3 pairs a target, less the tie of code and prose


def test_the_interval_by_hand():
    """rho = 1/2 of 20: atanh(1/2) -+ 1.96 sqrt((1 + 1/8) / 17)."""
    reach = 1.959964 * sqrt(1.125 / 17)
    expected = (tanh(atanh(0.5) - reach), tanh(atanh(0.5) + reach))
    assert spearman_interval(0.5, 20) == pytest.approx(expected, abs=1e-6)
    assert all(map(isnan, spearman_interval(0.5, 4)))


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
        "The results lack 2 cells: code on gsm8k at 70m; prose on pycode at 70m.\n"
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


@pytest.fixture(scope="module")
def with_shares(question) -> Prediction:
    mixtures = dict(zip(("code:0.2", "math:0.2", "math:0.3"), question.mixtures.values(), strict=True))
    return predict(replace(question, mixtures=mixtures), "cross_entropy.token")


@pytest.mark.parametrize(
    ("mix", "weight", "name"),
    [
        ("code:0.2", None, "code:0.2"),
        ("code:.20", None, "code:0.2"),
        ("code", None, "code:0.2"),  # there is no other mixture of code
        ("code", 0.2, "code:0.2"),
        ("math", 0.3, "math:0.3"),
        ("math", None, "math"),  # which of two?
        ("code:0.5", None, "code:0.5"),
        ("code", 0.5, "code:0.5"),  # not predicted, and not taken for what was
    ],
)
def test_a_mixture_is_found_by_its_share_or_without_where_that_is_unambiguous(with_shares, mix, weight, name):
    assert with_shares.find_mixture(mix, weight) == name


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
