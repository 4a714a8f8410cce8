"""A page as a function: a file, and a folder is refused."""

import pytest

import simtool
from simtool.errors import SimtoolError
from tests.conftest import sentences


def test_a_folder_is_no_page(tmp_path):
    with pytest.raises(SimtoolError) as caught:
        simtool.report(["c4", "gsm8k"], tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder. Name a file: --out {tmp_path / 'report.html'}."


def test_a_page_is_one_file(tmp_path):
    page = simtool.report(["c4", "gsm8k"], tmp_path / "page.html", views=("token.token",), resamples=20)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_corpora_of_a_study_are_counted_as_the_study_counted_them(tmp_path):
    from dataclasses import replace

    from simtool.api.report import _as_in_study
    from simtool.profiles.resolve import Options
    from simtool.studies.prepare import bind_folder
    from simtool.studies.presets import find_preset

    study = replace(find_preset("quick"), profiled=1234)
    bind_folder(study, tmp_path)
    options = _as_in_study(tmp_path, Options())
    assert (options.tokenizer, options.sample) == (study.tokenizer, 1234)
    assert _as_in_study(None, Options()) == Options()


def test_own_text_is_given_as_to_matrix(tmp_path):
    texts = sentences(200)
    page = simtool.report(
        {"mine": texts, "gsm8k": "gsm8k"}, tmp_path / "page.html", views=("token.token",), resamples=20
    )
    assert "mine" in page.read_text(encoding="utf-8")
