"""What is handed to lm-evaluation-harness and what is read from it, held against a stand-in of its module."""

import sys
from types import SimpleNamespace

import pytest

from simtool.errors import SimtoolError
from simtool.evaluation.harness import run_harness


@pytest.fixture
def told(monkeypatch):
    """What simple_evaluate was called with; its answer has the shape of the harness's own."""
    calls = []

    def simple_evaluate(**given):
        calls.append(given)
        results = {
            "arc_easy": {"alias": "arc_easy", "acc,none": 0.25, "acc_stderr,none": 0.01, "acc_norm,none": 0.5,
                         "acc_norm_stderr,none": 0.02, "sample_len": 2376},
            "wikitext": {"word_perplexity,none": 99.5, "word_perplexity_stderr,none": "N/A"},
        }  # fmt: skip
        return {"results": {task: results[task] for task in given["tasks"]}}

    manager = SimpleNamespace(all_tasks=["arc_easy", "wikitext"])
    monkeypatch.setitem(sys.modules, "lm_eval", SimpleNamespace(simple_evaluate=simple_evaluate))
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", SimpleNamespace(TaskManager=lambda: manager))
    return calls


def row(task, metric, value, standard_error):
    return {"task": task, "metric": metric, "value": value, "standard_error": standard_error}


def test_every_metric_is_a_row(told, tmp_path):
    assert run_harness(tmp_path, ["arc_easy", "wikitext"], "cpu") == [
        row("arc_easy", "acc,none", 0.25, 0.01),
        row("arc_easy", "acc_norm,none", 0.5, 0.02),
        row("wikitext", "word_perplexity,none", 99.5, None),  # nothing missing becomes 0
    ]
    assert told[0]["model"] == "hf" and told[0]["model_args"]["pretrained"] == str(tmp_path)
    assert told[0]["device"] == "cpu"


def test_an_unknown_task(told, tmp_path):
    with pytest.raises(SimtoolError, match=r"knows no task arc_eazy\. List them: lm_eval ls tasks\."):
        run_harness(tmp_path, ["arc_eazy"], "cpu")
    assert not told


def test_without_the_harness(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(SimtoolError) as error:
        run_harness(tmp_path, ["arc_easy"], "cpu")
    assert str(error.value) == "--lm-eval needs lm-evaluation-harness: pip install 'lm_eval[hf]'."


def test_a_checkpoint_is_exported_with_its_tokenizer(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from simtool.evaluation import harness
    from simtool.runs import run as single

    seen = []
    monkeypatch.setattr(harness, "run_harness", lambda folder, tasks, device: seen.append(folder) or [])
    monkeypatch.setattr(single, "export", lambda checkpoint, folder, tokenizer, data: folder)
    single.harness_scores(tmp_path, ["arc_easy"], "cpu", "default", None)  # a folder of transformers: as it is
    (tmp_path / "position.json").write_text("{}")
    single.harness_scores(tmp_path, ["arc_easy"], "cpu", "default", None)
    assert seen[0] == tmp_path and seen[1] != tmp_path
    assert not seen[1].exists()  # it was for the harness alone
