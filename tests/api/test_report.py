"""A page as a function: a file, and a folder is refused."""

import pytest

import simtool
from simtool.errors import SimtoolError


def test_a_folder_is_no_page(tmp_path):
    with pytest.raises(SimtoolError) as caught:
        simtool.report(["c4", "gsm8k"], tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder. Name a file: --out {tmp_path / 'report.html'}."


def test_a_page_is_one_file(tmp_path):
    page = simtool.report(["c4", "gsm8k"], tmp_path / "page.html", views=("token.token",), resamples=20)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
