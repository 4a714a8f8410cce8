"""Parts cover what they say, wherever they lie; a gap or an overlap is an error, never a wrong sum."""

import itertools
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.profiles.features import N_FOLDS
from simtool.profiles.parts import Manifest, PartsFolder, merged, missing, runs_of
from simtool.profiles.profile import Profile

MANIFEST = Manifest(
    "a", "1", "default", "f", ("token",), 9, (("file 0", 5), ("file 1", 7)), "a.parquet", {"source": "b"}
)


def part(covers: list, count: int = 1, version: str = "1") -> Profile:
    sizes = np.full(N_FOLDS, count)
    facts = {"covers": covers, "skipped": {"count": 0, "reasons": [], "empty": 0}, "version": version}
    return Profile("a", "default", "f", sizes, sizes, sizes, {"token": np.full((N_FOLDS, 3), count)}, {}, facts)


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        yield PartsFolder(str(tmp_path / "parts"))
        return
    yield PartsFolder("memory://parts/a")
    fsspec.filesystem("memory").rm("/parts", recursive=True)


@given(st.lists(st.integers(1, 5), max_size=8), st.booleans(), st.data())
def test_what_is_missing_and_what_is_covered_are_all(lengths, to_its_end, data):
    edges = np.cumsum([0, *lengths]).tolist()
    runs = [*itertools.pairwise(edges), *([(edges[-1], None)] if to_its_end else [])]
    covered = [run for run in runs if data.draw(st.booleans())]
    gaps = missing(data.draw(st.permutations(covered)))
    holds = lambda these, batch: sum(a <= batch and (b is None or batch < b) for a, b in these)  # noqa: E731
    assert all(holds(gaps, batch) + holds(covered, batch) == 1 for batch in range(edges[-1] + 3))
    assert missing([*covered, *gaps]) == []


@pytest.mark.parametrize("runs", [[(0, 2), (1, 3)], [(0, None), (4, 5)], [(0, None), (0, None)]])
def test_an_overlap_is_an_error(runs):
    with pytest.raises(SimtoolError, match=r"^Two parts hold the same text"):
        missing(runs)


def test_parts_and_manifest_are_read_as_they_were_written(folder):
    assert folder.manifest() is None and folder.facts() == {}
    folder.save_manifest(MANIFEST)
    folder.save(part([["file 0", 0, 3]]), "0-of-2.parquet")
    assert folder.manifest() == MANIFEST
    assert runs_of(folder.facts().values()) == {"file 0": [(0, 3)]}
    assert (folder.load("0-of-2.parquet", ["token"]).features["token"] == 1).all()
    assert folder.load("1-of-2.parquet", ["token"]) is None
    assert folder.names() == ["0-of-2.parquet"]


def test_the_whole_is_the_sum_once_all_is_covered(folder):
    folder.save_manifest(MANIFEST)
    folder.save(part([["file 0", 0, 3]], 1), "0-of-2.parquet")
    folder.save(part([["file 1", 0, None]], 2), "1-of-2.parquet")
    with pytest.raises(SimtoolError, match=r"^a: 1 of 2 pieces are not counted yet \(file 0\)\."):
        merged(folder, MANIFEST)
    folder.save(part([["file 0", 3, None]], 4), "0-of-1.parquet")
    whole, facts = merged(folder, MANIFEST)
    assert (whole.features["token"] == 7).all() and len(facts) == 3
    folder.save(part([["file 1", 0, None]], 2), "2-of-3.parquet")
    with pytest.raises(SimtoolError, match=r"^Two parts hold the same text"):
        merged(folder, MANIFEST)


def test_parts_of_files_that_changed_meanwhile_are_not_added_up(folder):
    """Two tasks that begin at once, between which a file changes, write a manifest each: the last one stays."""
    folder.save_manifest(MANIFEST)
    folder.save(part([["file 0", 0, None]]), "0-of-2.parquet")
    folder.save(part([["file 1", 0, None]], version="2"), "1-of-2.parquet")
    with pytest.raises(SimtoolError, match=r"^a: 1-of-2\.parquet in \S+ hold counts of another version of its files\."):
        merged(folder, MANIFEST)


def test_a_damaged_part_is_as_if_it_were_not_there(folder):
    folder.save_manifest(MANIFEST)
    folder.save(part([["file 0", 0, None], ["file 1", 0, None]]), "0-of-1.parquet")
    system, root = fsspec.core.url_to_fs(folder.url)
    data = system.cat_file(f"{root}/0-of-1.parquet")
    system.pipe_file(f"{root}/0-of-1.parquet", data[: len(data) // 2])
    assert folder.facts() == {}
    with pytest.raises(SimtoolError, match=r"^a: 2 of 2 pieces are not counted yet \(file 0, \.\.\.\)\."):
        merged(folder, MANIFEST)


def test_a_damaged_manifest_is_said(folder):
    system, root = fsspec.core.url_to_fs(folder.url)
    system.makedirs(root, exist_ok=True)
    system.pipe_file(f"{root}/manifest.json", b"{")
    with pytest.raises(
        SimtoolError,
        match=r"manifest.json is damaged: .* Remove the folder of parts and count again: nothing but time is lost\.",
    ):
        folder.manifest()


def test_folders_below_are_listed(tmp_path):
    for name in ("b", "a"):
        PartsFolder(str(tmp_path / name)).save_manifest(replace(MANIFEST, corpus=name))
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    assert [folder.manifest().corpus for folder in PartsFolder(str(tmp_path)).folders()] == ["a", "b"]


def test_what_a_killed_writer_left_is_swept(tmp_path):
    folder = PartsFolder(str(tmp_path))
    folder.save(part([]), "0-of-1.parquet")
    (tmp_path / ".0-of-1.parquet.x1.parquet").touch()
    folder.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["0-of-1.parquet"]


def test_no_secret_of_a_url_is_in_a_message():
    folder = PartsFolder("memory://user:hunter2@parts/a")
    assert folder.name == "memory://parts/a"
    system, root = fsspec.core.url_to_fs(folder.url)
    system.makedirs(root, exist_ok=True)
    system.pipe_file(f"{root}/manifest.json", b"{")
    try:
        with pytest.raises(SimtoolError, match=r"^memory://parts/a/manifest\.json is damaged"):
            folder.manifest()
    finally:
        system.rm(root, recursive=True)
    with pytest.raises(SimtoolError) as caught:
        PartsFolder("nosuch://user:hunter2@parts/a?token=hunter2").names()
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("Cannot open the folder of parts nosuch://parts/a: ")
