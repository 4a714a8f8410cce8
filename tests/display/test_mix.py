"""Which data to mix in, as text: the closest first, and what a number rests on below it."""

import csv
import io

import pytest

import simtool
from simtool.display.mix import print_advantage, print_advice, print_curve, print_explanations, print_prediction
from simtool.mixing.constraints import Constraints
from simtool.prediction.predict import save_prediction

QUESTION = ("c4", ["starcoder:0.2", "math:0.2"], ["pycode"])


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")


@pytest.fixture(scope="module")
def advantage():
    return simtool.advantage(*QUESTION, metric="js", feature="token", resamples=20)


def test_the_closest_mixture_is_first_and_better_than_all(advantage, capsys):
    print_advantage(advantage, "markdown")
    rows = [line for line in capsys.readouterr().out.splitlines() if ":0.2 |" in line]
    assert "starcoder:0.2" in rows[0] and "| all |" in rows[0]
    assert "math:0.2" in rows[1] and "| none |" in rows[1]


def test_notes_say_over_what_and_by_what(advantage, capsys):
    print_advantage(advantage, "table")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Proximity advantage over c4, by " in shown and "20 paired half-splits" in shown
    print_advantage(advantage, "csv")
    [first, second] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["mixture"], first["rank"], second["rank"]) == ("starcoder:0.2", "1", "2")


def test_a_curve_names_its_peak(capsys):
    print_curve(simtool.advantage_curve("c4", "starcoder", "pycode", resamples=20), "table")
    shown = " ".join(capsys.readouterr().out.split())
    assert "pycode: closest at " in shown and "Advantage of starcoder over c4 by " in shown


@pytest.mark.parametrize(("min_share", "warned"), [({"c4": 0.3}, False), ({}, True)])
def test_little_pretraining_text_is_a_warning_where_nothing_was_asked_of_it(min_share, warned, capsys):
    constraints = Constraints(min_share=min_share)
    print_advice(simtool.mix("c4", ["starcoder"], {"pycode": 1.0}, constraints, resamples=20), "table")
    out, err = capsys.readouterr()
    assert "To train it:" in out and "simtool train --pretrain c4 --mid " in out
    assert ("forget" in err) is warned


def test_a_prediction_ends_in_its_hash_and_is_explained(tmp_path, capsys):
    prediction = simtool.predict(*QUESTION, predictor="js.token", resamples=20)
    print_prediction(prediction)
    assert f"Content hash {prediction.hash}: note it elsewhere before training." in capsys.readouterr().out
    save_prediction(prediction, tmp_path / "p.json")
    print_explanations(simtool.explain(tmp_path / "p.json"), 3, "table")
    lines = capsys.readouterr().out.splitlines()
    assert "bits per token; what starcoder:0.2+c4:0.8 adds" in lines[1]
    rule = next(i for i, line in enumerate(lines) if "───" in line)
    assert len([line for line in lines[rule + 1 :] if line.strip()]) == 3  # as many n-grams as were to be shown
