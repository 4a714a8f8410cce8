"""A sweep's report is three tables, each with the provenance of the whole."""

import pytest

from simtool.tables import load_table
from tests.prediction.toys import sweep_report


def test_three_tables_are_saved_with_one_provenance(tmp_path):
    report = sweep_report()
    paths = report.save(tmp_path)
    names = ("sweep_ranking", "proxy_runs", "sweep_mixture")
    assert {path.stem for path in paths} == set(names)
    for name in names:
        assert load_table(tmp_path / f"{name}.csv")[1]["seed"] == 0
    ranking = load_table(tmp_path / "sweep_ranking.csv")[0]
    means = dict(ranking.filter(ranking["target"] == "mean").select("predictor", "spearman").iter_rows())
    assert means == {"text": pytest.approx(1), "opposite": pytest.approx(-1)}
    shares, facts = load_table(tmp_path / "sweep_mixture.csv")
    assert (facts["model"], facts["predicted"], facts["error"]) == ("mixing law", 2.9, 0.1)
    assert shares["share"].to_list() == [0.25, 0.75, 0.0]
