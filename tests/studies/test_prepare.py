"""A folder belongs to one study, its prediction is written once, and what is prepared runs on a bare machine."""

import json
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.progress import PredictionWritten
from simtool.studies import prepare as preparing
from simtool.studies.plan import study_to_json
from simtool.studies.prepare import bind_folder, find_study, is_prepared, prepare, warn_of_leaks


def test_a_folder_of_another_study_is_refused(study, finished):
    with pytest.raises(SimtoolError, match="holds another study \\(toy; differs in seeds\\)"):
        bind_folder(replace(study, seeds=(0,)), finished[0])


def test_a_study_written_under_earlier_names_of_its_fields_is_the_same(study, tmp_path):
    earlier = {"sequence_length": "length", "min_lr_ratio": "floor", "same_domain": "matched"}
    content = {earlier.get(name, name): value for name, value in study_to_json(study).items()}
    (tmp_path / "study.json").write_text(json.dumps({"study": content}))
    assert find_study(tmp_path) == study
    bind_folder(study, tmp_path)


def test_the_prediction_is_written_once(study, finished, options, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    monkeypatch.setattr(preparing, "predict_study", lambda *_: pytest.fail("it was predicted again"))
    before, messages = (folder / "prediction.json").read_bytes(), []
    prepare(study, folder, options, messages.append)
    assert (folder / "prediction.json").read_bytes() == before
    assert messages == [PredictionWritten(folder / "prediction.json")]


def test_without_options_a_folder_must_be_prepared(study, finished, tmp_path):
    with pytest.raises(SimtoolError, match="is not prepared: its texts are not tokenized, or nothing is predicted"):
        prepare(study, tmp_path, None, print)
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    assert is_prepared(folder) and set(prepare(study, folder, None, print)) == set(study.corpora)
    shutil.rmtree(next((folder / "stores").iterdir()))
    with pytest.raises(SimtoolError, match=r"^The ids of .* are missing in .*\. Copy the whole folder of the study\.$"):
        prepare(study, folder, None, print)


@pytest.mark.parametrize(("n", "warned"), [(0, False), (5, False), (6, True)])
def test_documents_that_stand_in_a_training_text_are_warned_of(study, tmp_path, n, warned):
    row = {"target": "tasks", "text": "web", "documents": 100, "near_duplicates": n}
    (tmp_path / "leaks.json").write_text(json.dumps({"rows": [row]}))
    messages = []
    warn_of_leaks(study, {}, tmp_path, messages.append)
    warning = "Warning: of 100 held-out documents of tasks, 6 stand nearly whole in the training text of web."
    assert messages == ([warning] if warned else [])
