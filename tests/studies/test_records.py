"""Each measurement is recorded once, whatever is killed or asked for again."""

import json
import shutil

import pytest

pytest.importorskip("torch")

from simtool.studies.plan import plan
from simtool.studies.records import Recorder, read_records


@pytest.fixture
def recorded(study, finished, tmp_path):
    """A copy of the records, the plan, and a result as a worker gives it."""
    path = tmp_path / "records.jsonl"
    shutil.copy(finished[0] / "records.jsonl", path)
    rows = read_records(path)
    fingerprint = json.loads((finished[0] / "prepared.json").read_text())["tokenizer_fingerprint"]
    tree = plan(study, fingerprint, dict.fromkeys(study.targets, 1_000))
    key = rows[0]["node"]
    return path, tree, key, {"rows": [row for row in rows if row["node"] == key], "tokens": 10}


def test_a_result_that_comes_again_adds_no_row(recorded):
    path, tree, key, result = recorded
    before = path.read_text()
    Recorder(path, tree, lambda message: None).add(key, result)
    assert path.read_text() == before


def test_a_line_cut_short_is_written_anew(recorded):
    path, tree, key, result = recorded
    before = read_records(path)
    lines = [line for line in path.read_text().splitlines() if json.loads(line)["node"] != key]
    path.write_text("\n".join(lines) + '\n{"node": "' + key)
    assert len(read_records(path)) == len(lines)
    assert path.read_text().endswith(key)  # reading does not write: the study may be running
    Recorder(path, tree, lambda message: None).add(key, result)
    rows = read_records(path)
    assert len(rows) == len(before) and all(row in before for row in rows)


def test_columns_of_earlier_records_have_todays_names(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"node": "n", "counted": "text", "asked": 40}\n')
    assert read_records(path) == [{"node": "n", "loss_on": "text", "document_limit": 40}]


def test_progress_goes_by_tokens(recorded):
    path, tree, key, result = recorded
    messages = []
    Recorder(path, tree, messages.append).add(key, result)
    assert (messages[0].n_done, messages[0].n_nodes) == (1, len(tree.nodes))
    assert messages[0].loss == result["rows"][-1]["nats_per_token"]
