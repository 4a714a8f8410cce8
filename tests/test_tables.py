"""Tables come back with their provenance; a file is whole or not there."""

import json
import os
import stat

import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.tables import atomic_write, load_table, provenance, read_table, save_table
from simtool.version import __version__

TABLE = pl.DataFrame({"corpus": ["c4", "gsm8k"], "nats_per_token": [3.5, 2.25]})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_comes_back_with_its_provenance(tmp_path, suffix):
    path = tmp_path / "new" / f"losses{suffix}"
    save_table(TABLE, path, provenance(seed=1))
    table, facts = load_table(path)
    assert table.equals(TABLE)
    assert facts["seed"] == 1 and facts["simtool"] == __version__ and facts["made"].endswith("+00:00")


@pytest.mark.parametrize("missing", ["losses.csv", "losses.json"])
def test_a_table_without_its_provenance_is_an_error(tmp_path, missing):
    save_table(TABLE, tmp_path / "losses.csv", {})
    (tmp_path / missing).unlink()
    with pytest.raises(SimtoolError) as error:
        load_table(tmp_path / "losses.csv")
    assert str(error.value) == f"No file {tmp_path / missing}: a table and its provenance (.json) belong together."


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text("{}")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half of it")
        raise RuntimeError
    assert path.read_text() == "{}" and [file.name for file in tmp_path.iterdir()] == ["facts.json"]


def test_a_result_is_as_readable_as_other_files(tmp_path):
    other = tmp_path / "other"
    other.touch()
    with atomic_write(tmp_path / "facts.json") as temporary:
        temporary.write_text(json.dumps({}))
    assert stat.S_IMODE((tmp_path / "facts.json").stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SimtoolError) as error, atomic_write(tmp_path / "file" / "facts.json"):
        pass
    assert str(error.value).startswith(f"Cannot write {tmp_path / 'file' / 'facts.json'}: ")
    assert str(error.value).endswith("Choose another folder.")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "Cannot read {path} as a table (csv, parquet): empty CSV."),
        ("a.csv", b"x,y\n1,2,3\n", "Cannot read {path} as a table (csv, parquet): "),
        ("a.parquet", b"junk", "Cannot read {path} as a table (csv, parquet): "),
        ("none.csv", None, "No file {path}. Check the path."),
    ],
)
def test_a_table_of_the_users_that_cannot_be_read(name, content, message, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SimtoolError) as caught:
        read_table(path)
    assert str(caught.value).startswith(message.format(path=path)) and "\n" not in str(caught.value)


def test_a_table_of_the_users(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "1,2\n" * 200 + "3%,4\n")
    assert read_table(tmp_path / "a.csv")["x"].to_list()[-1] == "3%"  # the type is that of all rows


def test_a_table_and_the_provenance_of_another_run_are_refused(tmp_path):
    path = tmp_path / "losses.csv"
    save_table(TABLE, path, provenance(seed=1))
    beside = path.with_suffix(".json").read_text()
    save_table(TABLE.head(1), path, provenance(seed=2))
    path.with_suffix(".json").write_text(beside)
    with pytest.raises(SimtoolError, match=r"losses.csv is not the table that losses.json beside it is of"):
        load_table(path)


def test_a_changed_digit_of_a_table_or_its_provenance_is_noticed(tmp_path):
    path = tmp_path / "losses.csv"
    for changed in (path, path.with_suffix(".json")):
        save_table(TABLE, path, {"seed": 1})
        text = changed.read_text()
        changed.write_text(text.replace("5", "7", 1).replace("1", "7", 1))
        assert changed.read_text() != text
        with pytest.raises(SimtoolError, match=r"Repeat the command that made it\."):
            load_table(path)


def test_a_table_of_before_there_were_hashes_is_read(tmp_path):
    path = tmp_path / "losses.csv"
    save_table(TABLE, path, {})
    path.with_suffix(".json").write_text('{"seed": 1}')
    table, facts = load_table(path)
    assert table.equals(TABLE) and facts == {"seed": 1}


def test_what_a_killed_process_left_half_written_is_swept(tmp_path):
    with atomic_write(tmp_path / "a.csv") as temporary:
        copies = [temporary.with_name(f".a.csv.{letter * 8}.csv") for letter in "xy"]
        for copy in copies:
            copy.write_text("half")
    os.utime(copies[0], (0, 0))
    other = tmp_path / ".b.csv.abcdefgh.csv"
    other.touch()
    os.utime(other, (0, 0))
    save_table(TABLE, tmp_path / "a.csv", {})
    assert not copies[0].exists() and copies[1].exists() and other.exists()


def test_whoever_reads_meanwhile_reads_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with path.open() as reader:
        with atomic_write(path) as temporary:
            temporary.write_text("after, and longer")
        assert reader.read() == "before" and path.read_text() == "after, and longer"
