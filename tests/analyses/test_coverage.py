"""Draws from a population: disjoint, of all its documents, and measured both ways."""

import numpy as np
from scipy.sparse import csr_matrix

from analyses.coverage import both_ways, draw_pair, population_value, summary
from simtool.mixture import Mixture
from simtool.similarity.matrix import equal_samples
from simtool.similarity.resampling import half_splits


def population(seed: int) -> csr_matrix:
    rng = np.random.default_rng(seed)
    return csr_matrix(rng.poisson(20 / np.arange(1, 101), (200, 100)))


def test_two_samples_of_one_population_share_no_document():
    documents = csr_matrix(np.eye(200, dtype=np.int64))  # each its own token
    pair = draw_pair({"p": documents}, "p", 60, "p", 100, np.random.default_rng(0))
    seen = [pair[name].features["token"].sum(axis=0) for name in ("a", "b")]
    assert (seen[0].sum(), seen[1].sum(), (seen[0] * seen[1]).sum()) == (60, 100, 0)


def test_the_value_of_a_population_with_itself_is_1():
    assert population_value(population(0), population(0)) == 1


def test_a_summary_has_a_row_per_cell_and_ceiling():
    populations, rng = {"p": population(0), "q": population(1)}, np.random.default_rng(0)
    pair = draw_pair(populations, "p", 100, "q", 100, rng)
    samples, _ = equal_samples(pair, {name: Mixture({name: 1.0}) for name in pair}, "token", 4_000, rng)
    splits = half_splits(samples.sum(axis=2), 8, rng)
    measured = [both_ways("js", samples, splits, np.array([100, 100]), rng)] * 2
    rows = summary("js", measured, 1.0)
    assert [row["what"] for row in rows] == ["cell", "ceiling a", "ceiling b"]
    assert all(row["covered_jackknife"] == 1 for row in rows)  # of the mean of equal draws
    assert len(summary("size_free", [both_ways("size_free", samples, splits, np.array([100, 100]), rng)], 1.0)) == 1
