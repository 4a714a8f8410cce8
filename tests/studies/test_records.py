"""Each measurement is recorded once, whatever is killed or asked for again."""

import json
import re
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.studies.plan import plan
from simtool.studies.records import Recorder, identity_of, read_records, rows_of


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
    last = result["rows"][-1]
    assert (messages[0].loss, messages[0].corpus) == (last["nats_per_token"], last["corpus"])


def changed_number(path):
    """The file with a digit of one loss changed; the number of its line."""
    lines = path.read_text().splitlines(keepends=True)
    digits = re.search(r'"nats_per_token": \d\.\d', lines[4]).end()
    lines[4] = lines[4][: digits - 1] + str((int(lines[4][digits - 1]) + 1) % 10) + lines[4][digits:]
    path.write_text("".join(lines))


def test_a_changed_digit_is_found_and_written_anew(recorded):
    path, tree, _, _ = recorded
    before = read_records(path)
    changed_number(path)
    with pytest.raises(SimtoolError, match=r"Line 5 of .* is damaged: its content does not match its hash"):
        read_records(path)
    messages = []
    recorder, lost = Recorder(path, tree, messages.append), before[4]["node"]
    assert messages == [f"1 lines of {path} were damaged or there twice; what they said is taken from the runs again."]
    recorder.add(lost, {"rows": [row for row in before if row["node"] == lost], "tokens": 0})
    assert sorted(map(str, read_records(path))) == sorted(map(str, before))


@pytest.mark.parametrize("line", [b"", b"\xff\xfe", b"[]", b"nothing", b'{"node": 1, "hasi": 2}', b'{"node": "a"'])
def test_a_line_that_is_none_is_damage_and_taken_out(recorded, line):
    path, tree, _, _ = recorded
    before = path.read_bytes()
    first, _, rest = before.partition(b"\n")
    path.write_bytes(first + b"\n" + line + b"\n" + first + b"\n" + rest)  # and a line there twice
    with pytest.raises(SimtoolError, match=r"Line 2 of .* is damaged"):
        read_records(path)
    Recorder(path, tree, lambda message: None)
    assert path.read_bytes() == before


def test_records_of_before_they_had_hashes_are_read_and_that_is_said(recorded):
    path, tree, _, _ = recorded
    before = read_records(path)
    path.write_text("".join(json.dumps(row) + "\n" for row in before))
    assert read_records(path) == before
    messages = []
    Recorder(path, tree, messages.append)
    assert messages == [
        f"{len(before)} rows of {path} are of an earlier simtool and carry no hash: a change in them goes unnoticed."
    ]


def test_where_seeds_differ_in_sft_only_each_has_the_rows_of_the_trunk(study):
    shared = replace(study, seeds_from="sft", seeds=(3, 4, 5))
    nodes = plan(shared, "f" * 16, dict.fromkeys(study.targets, 1_000)).nodes.values()
    end = next(node for node in nodes if node.ends and not node.target)
    measured = [{"corpus": "web", "split": "test", "loss_on": "text", "document_limit": 9, "nats_per_token": 2.0}]
    rows = rows_of(shared, end, measured)
    assert [row["seed"] for row in rows] == [3, 4, 5] * len(end.ends)
    assert len({identity_of(row) for row in rows}) == len(rows), "each is recorded, though measured once"
