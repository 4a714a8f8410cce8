"""What would fail or mislead is said before anything is trained."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.profiles.resolve import Options
from simtool.studies import checks
from simtool.studies.checks import check_held_out, check_texts, leak_warnings, tokens_needed
from simtool.studies.execute import StudyExecution, run_study
from simtool.studies.plan import plan
from simtool.studies.prepare import prepare, tokenize_texts
from simtool.studies.presets import study_of_flags
from simtool.tokens.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer("small")


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def planned(study):
    return plan(study, TOKENIZER.fingerprint, dict.fromkeys(study.targets, 1_000))


def test_texts_without_held_out_documents_are_refused_before_training(tmp_path, options):
    """One document of many words: enough to train on, and nothing to measure on."""
    web = write(tmp_path / "web.jsonl", ["the river runs by a quiet town " * 400])
    code, tasks = (
        write(tmp_path / f"{name}.jsonl", [f"{name} {i} x y" for i in range(200)]) for name in ("code", "tasks")
    )
    study, folder = study_of_flags(web, [f"{code}:0.5"], [tasks], "nano", 2_048, 1), tmp_path / "study"
    folder.mkdir()
    (folder / "prediction.json").write_text("{}")  # which so few documents would not allow
    with pytest.raises(SimtoolError) as error:
        prepare(study, folder, options, lambda message: None)
    assert str(error.value) == (
        f"{web} has no document in its split 'test' (it has 1 in 'train', 0 in 'validation', 0 in 'test').\n"
        "Documents are held out whole: give more of them, or shorter ones."
    )
    assert not (folder / "prepared.json").exists()


def test_the_selection_split_is_needed_where_rates_are_selected(study, finished):
    stores = tokenize_texts(study, finished[0], None)
    check_held_out(study, stores)
    (target,) = study.targets
    stores[target] = {**stores[target], "validation": SimpleNamespace(n_documents=0)}
    check_held_out(study, stores)
    with pytest.raises(SimtoolError, match="has no document in its split 'validation'"):
        check_held_out(replace(study, sft_rates=(1e-3, 1e-4)), stores)


@pytest.mark.parametrize(("n", "warned"), [(0, False), (5, False), (6, True)])
def test_documents_that_stand_in_a_training_text_are_warned_of(n, warned):
    row = {"target": "tasks", "text": "web", "documents": 100, "near_duplicates": n}
    warning = "Warning: of 100 held-out documents of tasks, 6 stand nearly whole in the training text of web."
    assert leak_warnings([row]) == ([warning] if warned else [])


def test_what_a_study_must_be_able_to_read_by_hand():
    study = study_of_flags("web", ["code:0.25"], ["tasks"], "nano", 102_400, 2, start=0.5)
    # the control reads 102,400 of web, 4 times at most, 80% of what there is; the arm 51,200 / 4 of code
    assert tokens_needed(planned(study)) == {"web": 102_400 / 4 / 0.8, "code": 51_200 / 4 / 4 / 0.8, "tasks": 1}


def test_a_plan_says_what_is_missing_too_small_or_has_other_fields(tmp_path):
    web = write(tmp_path / "web.jsonl", [f"the river runs by a town {i}" for i in range(50)])
    good = write(tmp_path / "code.jsonl", [f"def f{i}(x): return x + {i}" for i in range(3_000)])
    messages, options = [], Options(tokenizer="small", data=None, cache=tmp_path / "cache")

    def check(pretrain, mid, target, tokens=20_480):
        study = study_of_flags(pretrain, [f"{mid}:0.5"], [target], "nano", tokens, 1)
        check_texts(planned(study), TOKENIZER, options, messages.append)

    check("c4", good, "gsm8k")
    assert messages == ["No text here of c4, gsm8k: name its folder with --data, or it is fetched from the hub."]
    held = len(TOKENIZER.encode([f"the river runs by a town {i}" for i in range(50)])[0])
    with pytest.raises(SimtoolError) as error:
        check(web, good, "gsm8k")
    assert str(error.value) == (
        f"{web} is too small: it holds {held:,} tokens, and the study needs 6,400 (read 4 times at most, with what is"
        " held out).\nAdd text, or plan for fewer tokens: --train-tokens."
    )
    with pytest.raises(SimtoolError, match="No file"):
        check(good, str(tmp_path / "nosuch.jsonl"), "gsm8k")
    other = tmp_path / "other.jsonl"
    other.write_text('{"left": "a text", "right": "another"}\n' * 50)
    with pytest.raises(SimtoolError, match=r"left.*right"):
        check(good, str(other), "gsm8k")


def test_too_little_text_is_said_before_the_first_run(study, finished, options, tmp_path):
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    for name in ("study.json", "records.jsonl"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "runs")
    greedy = replace(study, max_epochs=0.01)
    with pytest.raises(SimtoolError, match=r"is too small: .* tokens of it are asked for, and it holds"):
        run_study(greedy, tmp_path, options, StudyExecution("cpu", 1))
    assert not (tmp_path / "runs").exists()


def test_leaks_are_looked_for_in_what_is_trained_on(monkeypatch):
    study = SimpleNamespace(targets=("t",), corpora=("web", "t"))
    splits = ("train", "validation", "test")
    stores = {
        name: {part: SimpleNamespace(n_documents=4, place=(name, part)) for part in splits} for name in ("web", "t")
    }
    pairs = []

    def looked_at(held_out, other):
        pairs.append((held_out.place, other.place))
        return SimpleNamespace(n_near_duplicates=len(pairs))

    monkeypatch.setattr(checks, "overlap", looked_at)
    rows = checks.find_leaks(study, stores)
    assert pairs == [(("t", "test"), ("web", "train")), (("t", "test"), ("t", "train"))]
    assert [(row["text"], row["near_duplicates"], row["documents"]) for row in rows] == [("web", 1, 4), ("t", 2, 4)]
