"""Analyses are made by name or all at once; what one lacks is reported, and the others are made."""

import ast

import pytest

import analyses
from analyses.__main__ import TABLES, main, names, parse
from simtool.errors import SimtoolError


def test_every_analysis_has_a_question_and_a_committed_table():
    for name in names():  # read, not imported: some need torch
        question = ast.get_docstring(ast.parse((TABLES.parent / f"{name}.py").read_text())).split("\n\n")[0]
        assert question.endswith("?"), name
        assert (TABLES / f"{name}.csv").exists() and (TABLES / f"{name}.json").exists(), name


def test_what_is_missing_is_reported_and_the_rest_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("analyses.__main__.names", lambda: ["study_cost", "timing_weight", "tokenizer_cells"])
    main([], None, tmp_path)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("study_cost: 5 rows in ")
    assert told[1:] == [
        "timing_weight: not made, there is no table. It needs the table study_timing, which simtool train-eval makes.",
        "tokenizer_cells: not made, there is no table."
        " It needs the text of the corpora and the tokenizers: --data DIR or SIMTOOL_DATA.",
    ]
    with pytest.raises(SimtoolError) as caught:
        main(["timing_weight"], None, tmp_path)
    assert str(caught.value) == (
        "timing_weight cannot be made here: there is no table.\n"
        "It needs the table study_timing, which simtool train-eval makes."
    )
    with pytest.raises(SimtoolError, match=r"Unknown analysis 'study_cots'. Did you mean 'study_cost'"):
        main(["study_cots"], None, tmp_path)


def test_the_data_folder_is_read_from_the_arguments(tmp_path):
    assert parse(["a", "--data", str(tmp_path), "b"]) == (["a", "b"], tmp_path)
    assert parse(["a"]) == (["a"], None)
    with pytest.raises(SimtoolError, match="No data folder /nowhere"):
        parse(["--data", "/nowhere"])


def test_a_missing_profile_is_reported():
    with pytest.raises(analyses.Missing, match="It needs a profile of nothing under default, and none ships"):
        analyses.shipped_profile("nothing", "default", ())


def test_what_is_shared_is_no_question():
    assert {"representation_change", "gradient_alignment", "forgetting_documents"} <= set(names())
    assert "_tiny" not in names()
