"""Tables are the same bytes, however they are computed."""

import pytest

from benchmarks.determinism import COMMANDS, VARIES, Way, differing, run, tables_of, ways
from benchmarks.own_files import write_texts

FEW = {name: COMMANDS[name] for name in ("matrix", "matrix-js", "advantage", "mix")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder, 400)
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    return tables_of(ways()[0], FEW, folder)


def test_what_is_compared_are_tables_with_their_provenance(expected):
    assert {"matrix/similarity_matrix.csv", "matrix/similarity_matrix.json"} <= set(expected)
    assert {name.split("/")[0] for name in expected} == set(FEW)
    assert b'"made"' not in b"".join(expected.values()) and b'"table_sha256"' in expected["mix/mixture.json"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ways()[1:], ids=lambda way: way.name)
def test_tables_are_the_same_bytes_however_they_are_computed(folder, expected, way):
    assert differing(tables_of(way, FEW, folder), expected) == []


def test_what_differs_is_said():
    assert differing({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3", "c": b"4"}) == ["b", "c"]
    assert (
        VARIES.sub(b"", b'{\n  "made": "2026-11-26T10:00:00",\n  "seed": 0,\n  "hash": "f0"\n}')
        == b'{\n  "seed": 0,\n}'
    )


def test_a_command_that_fails_is_no_table(tmp_path):
    with pytest.raises(RuntimeError, match=r"nobody: .*No file a\.jsonl"):
        run(Way("nobody", []), [COMMANDS["matrix"]], tmp_path)
