"""Midtraining beside continued pretraining, in the published tables and in a study."""

import math

import polars as pl
import pytest

from analyses import midtraining_cpt
from analyses.__main__ import TABLES
from simtool.tables import load_table, save_table
from tests.plots.example_tables import effects, losses


def test_a_study_joins_the_published_tables(tmp_path):
    published, facts = load_table(TABLES / "published_forgetting.csv")
    save_table(published, tmp_path / "published_forgetting.csv", facts)
    save_table(effects(), tmp_path / "study_effects.csv", {"pretrain": "c4"})
    save_table(losses(), tmp_path / "study_losses.csv", {})
    table, _ = midtraining_cpt.make(tmp_path)
    assert set(table["source"]) == {"published", "study"}
    assert table.filter(pl.col("source") == "published")["size"].unique().to_list() == ["160m"]


def test_a_study_of_one_seed_joins_them_without_intervals(tmp_path):
    published, facts = load_table(TABLES / "published_forgetting.csv")
    save_table(published, tmp_path / "published_forgetting.csv", facts)
    unknown = dict.fromkeys(("low", "high"), pl.lit(None, pl.Float64))
    save_table(effects().with_columns(**unknown), tmp_path / "study_effects.csv", {"pretrain": "c4"})
    save_table(losses().filter(pl.col("seed") == 0), tmp_path / "study_losses.csv", {})
    table = midtraining_cpt.make(tmp_path)[0].filter(source="study")
    assert table.height and table["low"].null_count() == table["general_low"].null_count() == table.height


def test_general_text_is_compared_at_the_end_seed_by_seed():
    table = midtraining_cpt.general_differences(losses())
    arm = table.filter(arm="starcoder_20%", target="pycode").row(0, named=True)
    # 0.2, 0.3 and 0.4 above the control of the same seed: mean 0.3, sd 0.1, t(2) at 97.5% is 4.3027
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert arm["general_difference"] == pytest.approx(0.3)
    assert (arm["general_low"], arm["general_high"]) == pytest.approx((0.3 - half, 0.3 + half), abs=1e-4)
    control = table.filter(arm="control")
    assert (control["general_difference"] == 0).all()


def test_a_single_seed_has_no_interval():
    table = midtraining_cpt.general_differences(losses().filter(pl.col("seed") == 0))
    assert table["general_low"].null_count() == table.height
