"""Many corpora are counted beside each other as one after the other, and their counts are not held."""

from dataclasses import replace

import pytest

from simtool.errors import SimtoolError
from simtool.profiles.many import count_many
from simtool.profiles.profile import SavedCounts
from simtool.profiles.resolve import Options
from tests.conftest import sentences, write_jsonl
from tests.profiles.test_count import same_counts


@pytest.fixture
def names(tmp_path):
    return [str(write_jsonl(tmp_path / f"{n}.jsonl", sentences(80, seed=n))) for n in range(3)]


@pytest.mark.parametrize("workers", [2, 3])  # with as many as there are corpora, this process takes one
def test_processes_count_small_corpora_as_one_does(names, tmp_path, workers):
    messages: list = []
    alone = count_many(names, ["token", "char2"], Options(cache=tmp_path / "one", report=lambda message: None))
    options = Options(cache=tmp_path / "two", workers=workers, report=messages.append)
    beside = count_many([*names, names[0]], ["token", "char2"], options)
    assert [resolved.how for resolved in beside] == ["counted now"] * 4
    assert all(same_counts(a.profile, b.profile) for a, b in zip(alone, beside, strict=False))
    assert sorted(message.split(":")[0] for message in messages) == [f"Counted {name}" for name in names]
    assert all(isinstance(resolved.profile.features, SavedCounts) for resolved in [*alone, *beside])
    again = count_many(names, ["token", "char2"], options)
    assert [resolved.how for resolved in again] == ["cached"] * 3


def test_a_corpus_that_cannot_be_counted_is_said(names, tmp_path):
    (tmp_path / "1.jsonl").write_text('{"text": "a"}\n{broken\n')
    options = Options(cache=tmp_path / "cache", workers=2, report=lambda message: None)
    with pytest.raises(SimtoolError, match=r"Line 2 of .*1\.jsonl is not a JSON object"):
        count_many(names, ["token"], options)
    assert len(count_many(names, ["token"], replace(options, skip_bad=True))) == 3
