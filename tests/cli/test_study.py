"""Studies from the command line: what is refused before anything runs."""

import pytest

pytest.importorskip("torch")

from tests.conftest import simtool

BAD = {
    "arms without a trunk": (
        ["train-eval", "--mid", "code:0.2"],
        "simtool: Say what is pretrained on, too: --pretrain c4.\n",
    ),
    "a preset and a study": (
        ["train-eval", "quick", "--pretrain", "c4"],
        "simtool: Name a preset (quick) or what is pretrained on (--pretrain c4), not both.\n",
    ),
    "an unknown study": (["train-eval", "quik"], "simtool: Unknown study 'quik'. Did you mean 'quick'?"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_exit_code_2(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[name]
    done = simtool(*arguments)
    assert done.returncode == 2 and done.stderr.startswith(message), done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_no_amount_is_named_with_its_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = simtool("train-eval", "--seeds", "few")
    assert done.returncode == 2 and "Invalid value for '--seeds': 'few' is not an amount." in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_study_has_no_results(tmp_path):
    done = simtool("results", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("simtool: ") and str(tmp_path) in done.stderr


def test_a_study_of_which_all_runs_fail_says_why(tmp_path, monkeypatch):
    from simtool.api import study as api
    from simtool.cli.study import train_eval
    from simtool.errors import SimtoolError
    from simtool.executor import Outcome

    monkeypatch.setattr(api, "is_prepared", lambda folder: True)
    monkeypatch.setattr(api, "train_eval", lambda *_: (Outcome({}, {"a": KeyError("embed")}, ["b"]), None))
    with pytest.raises(
        SimtoolError, match=r"^1 run failed, 1 could not be tried; none is measured\.\n  KeyError: 'embed'"
    ):
        train_eval(pretrain="c4", mid=["starcoder:0.2"], target=["gsm8k"], out=tmp_path)
