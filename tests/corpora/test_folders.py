"""Of a folder the data is read, in one split, and what is not read is told."""

import gzip
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simtool.corpora import archives
from simtool.corpora.folders import contents_of, split_of
from simtool.corpora.sources import file_corpus, find_files
from simtool.errors import SimtoolError


def lines(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def write(folder, **contents):
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def texts_of(folder, split="train"):
    return sorted(document.text for document in file_corpus(str(folder), split=split).documents())


@pytest.mark.parametrize("stray", [{"data.csv": "text,y\nhello,1\n"}, {"package.json": '{"name": "x"}'}])
def test_a_source_tree_with_a_stray_table_or_settings_is_a_source_tree(tmp_path, stray):
    write(tmp_path, **{f"src__m{n}.py": f"x = {n}\n" for n in range(10)}, **stray)
    assert texts_of(tmp_path) == sorted([*(f"x = {n}\n" for n in range(10)), *stray.values()])


def test_a_table_that_holds_most_of_a_source_tree_is_asked_about(tmp_path):
    write(tmp_path, **{f"m{n}.py": "x = 1\n" for n in range(3)}, **{"a.jsonl": lines("x" * (2 << 20))})
    with pytest.raises(SimtoolError) as error:
        file_corpus(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path} holds 1 data file(s) and 3 other text files: which are meant?\n"
        f"Name the files: {tmp_path / 'a.jsonl'}, or a glob in quotes: '{tmp_path}/**/*.py'."
    )


def test_links_to_folders_are_followed_and_round_trips_are_not(tmp_path):
    write(tmp_path / "src", **{"one__a.jsonl": lines("a")})
    write(tmp_path / "elsewhere", **{"b.jsonl": lines("b")})
    (tmp_path / "src" / "two").symlink_to("../elsewhere")
    (tmp_path / "src" / "one" / "up").symlink_to("..")
    assert texts_of(tmp_path / "src") == ["a", "b"]


def test_what_stands_beside_data_is_passed_over_and_told(tmp_path):
    write(
        tmp_path,
        **{
            "part-00000": lines("a"), "part-00001": lines("b"), "_SUCCESS": "", "README.md": "# about",
            "dataset_infos.json": "{}", "_temporary__0__part-00002": lines("half"), ".part-00000.crc": "x",
        },
    )  # fmt: skip
    assert texts_of(tmp_path) == ["a", "b"]
    shown = find_files(str(tmp_path)).describe()
    assert shown == (
        f"2 files of {tmp_path} (passed over README.md: beside the data; _SUCCESS: beside the data;"
        " dataset_infos.json: beside the data)"
    )


def test_the_same_file_in_two_wrappings_is_read_once(tmp_path):
    write(tmp_path, **{"a.jsonl": lines("a"), "a.jsonl.gz": gzip.compress(lines("a").encode()), "b.jsonl": lines("b")})
    assert texts_of(tmp_path) == ["a", "b"]
    assert contents_of(tmp_path).passed == (("a.jsonl.gz", "again in a.jsonl"),)


def test_partitions_are_folders_like_others(tmp_path):
    write(tmp_path, **{"lang=en__x.jsonl": lines("en"), "lang=de__x.jsonl": lines("de")})
    assert texts_of(tmp_path) == ["de", "en"]


# ---- splits ----


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00001.parquet", "train"),
        ("c4-train.00000-of-01024.json", "train"),
        ("dev.jsonl", "validation"),
        ("val/0.jsonl", "validation"),
        ("a_test.jsonl", "test"),
        ("test/train.jsonl", "train"),  # the file's own name comes first
        ("latest.jsonl", None),
        ("contest/entertrainment.jsonl", None),
    ],
)
def test_splits_are_read_off_names(name, split):
    assert split_of(name) == split


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "data").mkdir()
    for split, n in (("train", 8), ("test", 2)):
        rows = [{"text": f"{split} {i}"} for i in range(n)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    return tmp_path


@pytest.mark.parametrize(("split", "n"), [("train", 8), ("test", 2)])
def test_a_folder_is_read_in_one_split(dataset, split, n):
    assert texts_of(dataset, split) == [f"{split} {i}" for i in range(n)]


def test_a_split_that_is_not_there_lists_those_that_are(dataset):
    with pytest.raises(SimtoolError) as error:
        find_files(str(dataset), "validation")
    assert str(error.value) == f"{dataset} has no split 'validation'. It has: test, train."


def test_a_folder_without_splits_has_only_one(tmp_path):
    write(tmp_path, **{"a.jsonl": lines("a")})
    with pytest.raises(SimtoolError, match=r"has no split 'test'\. Its files name no splits: leave --split out\.$"):
        find_files(str(tmp_path), "test")


def test_beside_a_test_file_what_names_no_split_is_training_text(tmp_path):
    write(tmp_path, **{"a.jsonl": lines("a"), "a_test.jsonl": lines("b")})
    assert texts_of(tmp_path) == ["a"] and texts_of(tmp_path, "test") == ["b"]


def test_a_split_of_named_files_is_an_error(tmp_path):
    write(tmp_path, **{"a.jsonl": lines("a"), "a_test.jsonl": lines("b")})
    with pytest.raises(SimtoolError) as error:
        find_files(str(tmp_path / "a.jsonl"), "test")
    assert str(error.value) == (
        f"--split test is for folders and the hub; {tmp_path / 'a.jsonl'} names files. Leave it out."
    )
    assert len(find_files(str(tmp_path / "a_test.jsonl"), "test").files) == 1  # its name says the same


# ---- archives ----


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_an_archive_is_read_like_the_folder_in_it(dataset, tmp_path, ending):
    kind = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar"}[ending]
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, dataset / "data")
    assert texts_of(archive, "test") == ["test 0", "test 1"]
    found = find_files(archive)
    assert [file.name for file in found.files] == [f"{archive}/train-00000-of-00001.parquet"]
    before = found.identity()
    archives.unpacked.cache_clear()
    assert find_files(archive).identity() == before  # wherever it is unpacked


def test_other_splits_are_the_first_that_is_passed_over(tmp_path):
    write(tmp_path, **{"train.jsonl": lines("a"), "test.jsonl": lines("b"), "README.md": "# about"})
    assert find_files(str(tmp_path)).describe() == (
        f"1 file of {tmp_path} (passed over test.jsonl: split test; README.md: beside the data)"
    )
