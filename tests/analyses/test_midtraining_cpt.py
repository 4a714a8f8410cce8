"""Midtraining beside continued pretraining, in the published tables and in a study."""

import polars as pl

from analyses import midtraining_cpt
from analyses.__main__ import TABLES
from simtool.tables import load_table, save_table
from tests.plots.example_tables import effects


def test_a_study_joins_the_published_tables(tmp_path):
    published, facts = load_table(TABLES / "published_forgetting.csv")
    save_table(published, tmp_path / "published_forgetting.csv", facts)
    save_table(effects(), tmp_path / "study_effects.csv", {"pretrain": "c4"})
    table, _ = midtraining_cpt.make(tmp_path)
    assert set(table["source"]) == {"published", "study"}
    assert table.filter(pl.col("source") == "published")["size"].unique().to_list() == ["160m"]
