"""The tables of a sweep are read whole, or the message names what is missing."""

import pytest

from simtool.errors import SimtoolError
from simtool.page.sweep import load_sweep_tables
from tests.prediction.toys import sweep_report


def test_tables_and_what_the_mixture_rests_on_are_read(tmp_path):
    sweep_report().save(tmp_path / "regmix")
    sweep = load_sweep_tables(tmp_path / "regmix")
    assert sweep.name == "regmix"
    assert sweep.tables["sweep_mixture"]["share"].to_list() == [0.25, 0.75, 0.0]
    mixture = sweep.facts["sweep_mixture"]
    assert (mixture["model"], mixture["predicted"], mixture["best_loss"]) == ("mixing law", 2.9, 3.0)


def test_a_folder_without_a_table_is_one_message(tmp_path):
    sweep_report().save(tmp_path)
    (tmp_path / "proxy_runs.csv").unlink()
    with pytest.raises(SimtoolError, match=r"it lacks proxy_runs\.csv\.\nName the folder that simtool sweep --save"):
        load_sweep_tables(tmp_path)
