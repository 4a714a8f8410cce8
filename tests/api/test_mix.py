"""Which data to mix in, as functions."""

import pytest

import simtool
from simtool.api import mix as api
from simtool.errors import SimtoolError
from simtool.mixing.constraints import Constraints
from simtool.prediction.predict import Prediction, save_prediction

QUESTION = ("c4", ["starcoder:0.2", "math:0.2"], ["pycode", "gsm8k"])


@pytest.fixture
def prediction(tmp_path):
    save_prediction(simtool.predict(*QUESTION, predictor="js.token", resamples=20), tmp_path / "prediction.json")
    return tmp_path / "prediction.json"


def test_code_brings_code_closer_and_mathematics_problems():
    result = simtool.advantage(*QUESTION, metric="js", feature="token", resamples=20)
    code, math = result.value
    assert code[0] > math[0] and math[1] > code[1] and code[0] > 0
    assert result.facts["corpora"]["starcoder"]["how"] == "shipped" and result.facts["metric"] == "js"


def test_the_readmes_verdict_is_the_same_for_seeds_0_to_9():
    """Math is above StarCoder for GSM8K by .33, whose interval ends at .07 to .13: near enough for seeds to matter."""
    question = ("c4", ["starcoder:0.2", "math:0.12"], ["pycode", "gsm8k"])
    results = [simtool.advantage(*question, seed=seed) for seed in range(10)]
    assert all(result.distinguishable[0, 1].tolist() == [True, True] for result in results)
    assert all((result.low > 0).all() and result.rank.tolist() == [[1, 2], [2, 1]] for result in results)
    assert min(result.share_best.max(axis=0).min() for result in results) > 0.99


def test_shares_of_bytes_become_shares_of_tokens():
    result = simtool.advantage("c4", ["starcoder:0.2"], ["pycode"], resamples=20, unit="bytes")
    [mixture] = result.mixtures.values()
    assert mixture.weights["starcoder"] > 0.2  # code has fewer bytes per token than web pages


def test_a_mixture_keeps_to_its_constraints():
    constraints = Constraints(min_share={"c4": 0.5})
    best = simtool.mix("c4", ["starcoder", "math"], {"pycode": 1.0}, constraints, resamples=20).recommendation
    assert best.weights.sum() == pytest.approx(1) and best.weights[0] == pytest.approx(0.5)
    assert best.weights[1] > best.weights[2]


def test_constraints_may_be_given_by_name():
    question = ("c4", ["math"], {"gsm8k": 1.0})
    by_name, whole = (
        simtool.mix(*question, constraints, resamples=20).recommendation
        for constraints in ({"min_share": {"c4": 0.6}}, Constraints(min_share={"c4": 0.6}))
    )
    assert by_name.constraints == whole.constraints and (by_name.weights == whole.weights).all()
    with pytest.raises(SimtoolError, match=r"^Unknown constraint 'min_shares'\. Did you mean 'min_share'\?"):
        simtool.mix(*question, {"min_shares": {"c4": 0.6}})


def test_a_candidate_of_few_documents_is_named():
    options = simtool.Options(corpora={"five": [f"text {n} of five" for n in range(5)]})
    with pytest.raises(SimtoolError, match=r"^Too few documents for an interval: five\. Documents are"):
        simtool.mix("c4", ["five"], {"gsm8k": 1.0}, resamples=20, options=options)


def test_a_curve_begins_at_nothing():
    curve = simtool.advantage_curve("c4", "starcoder", "pycode", resamples=20)
    assert (curve.shares[0], curve.shares[-1]) == (0, 1) and curve.value[0, 0] == pytest.approx(0)


def test_results_that_are_missing_are_named(prediction, tmp_path):
    with pytest.raises(SimtoolError, match=r"^No file .*none\.csv\. Check the path\.$"):
        simtool.verify(prediction, tmp_path / "none.csv")
    (tmp_path / "some.csv").write_text("mix,target,relative_improvement,size\nmath:0.2,gsm8k,0.1,14m\n")
    with pytest.raises(SimtoolError, match=r"^No results of size '1b'\. There are: 14m\.$"):
        simtool.verify(prediction, tmp_path / "some.csv", size="1b")


def test_an_explanation_is_of_the_mixture_predicted_best(prediction):
    [explanation] = simtool.explain(prediction, target="pycode")
    assert explanation.target == "pycode" and explanation.feature == "token"
    with pytest.raises(SimtoolError, match=r"^Unknown target 'pycod'\. Did you mean 'pycode'\?"):
        simtool.explain(prediction, target="pycod")


def test_urls_of_somebody_elses_prediction_are_not_opened(tmp_path, monkeypatch):
    made = simtool.predict(*QUESTION, predictor="js.token", resamples=20)
    content = {**made.content, "targets": ["http://127.0.0.1:9/a.jsonl", "gsm8k"]}
    save_prediction(Prediction(content), tmp_path / "theirs.json")
    monkeypatch.setattr(api, "find_profiles", lambda *_: pytest.fail("text was looked for"))
    with pytest.raises(SimtoolError, match=r"names texts at URLs: http://127.0.0.1:9/a.jsonl\.\nThey are .* --fetch"):
        simtool.explain(tmp_path / "theirs.json", target="gsm8k")


def test_a_feature_that_is_none_is_named(prediction):
    with pytest.raises(SimtoolError, match=r"^Unknown feature 'skeletn3'\. Did you mean 'skeleton3'\?"):
        simtool.explain(prediction, feature="skeletn3")
