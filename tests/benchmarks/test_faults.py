"""Damage to our own files: a bounded, seeded part of what `python benchmarks/faults.py` injects."""

import os
from random import Random

from benchmarks.command_lines import LINES, TRAINING_LINES, hostile_line, prepare
from benchmarks.faults import OUTCOMES, faults_in, inject, outcome_of, run_lines, table_of
from benchmarks.injection import Answer, Restored, run_here, with_fault
from benchmarks.own_files import KINDS, make_workspace

COUNTING = [name for name, kind in KINDS.items() if not kind.maker]


def test_damage_to_what_is_counted_and_predicted_is_one_message_or_made_good(tmp_path):
    problems = []
    counts = inject(tmp_path, COUNTING, 60, 1, problems.append)
    assert not problems
    total = sum(counts.values(), start=next(iter(counts.values())).__class__())
    assert total["message"] + total["restored"] + total["said"] == 60 and total["message"] > 10
    assert f"| all | 60 | 0 | {total['message']} |" in table_of(counts)


def test_a_fault_changes_the_file_and_restore_takes_it_back(tmp_path):
    path = tmp_path / "a" / "records.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"a": 1}\n{"b": [2]}\n')
    before, state = path.read_bytes(), Restored(tmp_path)
    names = set()
    for seed in range(200):
        names.add(with_fault(path, Random(seed)))
        assert not path.exists() or path.read_bytes() != before
        (tmp_path / "new").touch()
        state.restore()
        assert path.read_bytes() == before and not (tmp_path / "new").exists()
    assert {"deleted", "flipped_bit", "doubled_line", "other_value", "emptied"} <= names


def test_outcomes_are_what_they_are_called():
    quiet = Answer(0, "1", "")
    assert outcome_of(quiet, "1", "1", "") == "restored"
    assert outcome_of(quiet, "2", "1", "") == "unnoticed"
    assert outcome_of(Answer(0, "2", "a line is damaged"), "2", "1", "") == "said"
    assert outcome_of(Answer(2, "", "simtool: no"), "", "1", "") == "message"
    assert outcome_of(Answer(None, "", "", "KeyError"), "", "1", "") == "traceback"
    assert outcome_of(Answer(130, "", ""), "", "1", "") == "traceback"
    assert {"traceback", "unnoticed"} < set(OUTCOMES)


def test_an_exception_that_is_no_message_is_seen(monkeypatch):
    from simtool.api import reference

    def fail(*_):
        raise KeyError("of a fault")

    monkeypatch.setattr(reference, "list_tokenizers", fail)
    answer = run_here(["tokenizers"])
    assert answer.code is None and "KeyError" in answer.place and "of a fault" in answer.place
    assert os.environ["SIMTOOL_LONGEST_DOCUMENT"] == "64"


def test_faults_are_the_same_for_a_seed(tmp_path):
    make_workspace(tmp_path)
    first, again = (
        [(outcome, answer.err) for outcome, answer in faults_in("prediction", tmp_path, 10, 3, print)] for _ in range(2)
    )
    assert first == again and {outcome for outcome, _ in first} <= {"message", "restored"}


def test_hostile_command_lines_end_with_a_message(tmp_path):
    make_workspace(tmp_path)
    problems = []
    counts = run_lines(tmp_path, 60, 1, False, problems.append)
    assert not problems and counts["message"] + counts["done"] == 60 and counts["done"]


def test_the_lines_that_are_made_hostile_work(tmp_path):
    make_workspace(tmp_path)
    prepare(tmp_path)
    untrained = [line for line in LINES if not line.startswith(("results", "train-eval", "sweep"))]
    assert {line: run_here(line.split()).code for line in untrained} == dict.fromkeys(untrained, 0)


def test_a_hostile_line_names_a_command_and_differs(tmp_path):
    for seed in range(50):
        line = hostile_line(Random(seed), LINES + TRAINING_LINES, ["-5", "x"])
        assert " ".join(line) not in LINES and line[0] in {line.split()[0] for line in LINES + TRAINING_LINES}
