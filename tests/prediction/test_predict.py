"""A prediction is saved as it was made, and an edit is noticed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.predict import (
    Prediction,
    counts_hash,
    load_prediction,
    predict,
    save_prediction,
)
from simtool.prediction.question import Question
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


# --- Kept as it was made ---


def test_what_it_holds(prediction, question):
    content = prediction.content
    assert content["predictor"]["name"] == "cross_entropy.token"
    assert content["inputs"]["tokenizer_fingerprint"] == "f" * 64
    assert content["inputs"]["seed"] == 3
    corpus = content["inputs"]["corpora"]["starcoder"]
    assert corpus["source"] == "file starcoder"
    assert corpus["tokens"] == 8000
    assert corpus["counts_sha256"] == counts_hash(question.profiles["starcoder"], ["token"])
    best = prediction.to_polars().filter(pl.col("rank") == 1)
    assert dict(zip(best["target"], best["mixture"], strict=True)) == {"pycode": "code", "gsm8k": "math"}
    assert ["code", "math"] in content["distinguishable"]["pycode"]


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


def test_a_committed_prediction_of_the_first_format_is_read():
    """Its file must stay as it was written before training: its content is under its hash."""
    prediction = load_prediction(Path(__file__).parents[2] / "analyses" / "predictions" / "graded.json")
    assert prediction.content["format"] == 1
    assert prediction.inputs["resamples"] == 1000
    assert set(prediction.distinguishable) == set(prediction.targets)


def test_a_saved_prediction_is_one_that_can_be_verified(prediction, tmp_path):
    path, table, facts = prediction.save(tmp_path)
    assert load_prediction(path).hash == prediction.hash
    assert pl.read_csv(table).height == len(prediction.content["cells"])
    assert json.loads(facts.read_text())["prediction"] == prediction.hash
