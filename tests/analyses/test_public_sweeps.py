"""The public sweeps are read as they were published; skipped where they are not beside the repository."""

from pathlib import Path

import numpy as np
import pytest

from analyses._pile import PILE, share_of_pile
from analyses._sweeps import mixing_laws, regmix
from simtool.prediction.text_priors import baselines, rank_runs

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_sweeps = pytest.mark.skipif(not (DATA.parent / "sweeps").is_dir(), reason="no public sweeps in ../shared")


def test_parts_of_the_pile_keep_their_proportions():
    mixture = share_of_pile(("github", "freelaw"))
    assert mixture.weights["github"] / mixture.weights["freelaw"] == pytest.approx(PILE["github"] / PILE["freelaw"])


@needs_sweeps
def test_regmix_and_its_same_domain_baseline():
    """.88 and .89: the first line of the issue's first look, over runs and over those with little own weight."""
    sweeps = regmix(DATA)
    assert [len(public.sweep.runs) for public in sweeps] == [512, 256, 256]
    for public, everywhere, low in zip(sweeps, (0.88, 0.89, 0.89), (0.39, 0.38, 0.37), strict=True):
        own = public.sweep.own_weights(public.texts)
        ranking = rank_runs(
            public.sweep, own, {"own": baselines(public.sweep, public.texts)["own-domain weight"]}, draws=1
        )
        assert ranking.spearman[0, -1] == pytest.approx(everywhere, abs=0.006)
        assert ranking.low_weight[0, -1] == pytest.approx(low, abs=0.03)  # the weights are brought to sum 1 first


@needs_sweeps
def test_mixing_laws_are_taken_at_a_step_that_the_runs_share():
    laws = {public.name: public for public in mixing_laws(DATA)}
    assert {"redpajama 70M, step 30,000", "5mix 410M, step 30,000", "ct 70M, step 10,000"} <= set(laws)
    for public in laws.values():
        np.testing.assert_allclose(public.sweep.weights.sum(axis=1), 1)
        assert set(public.texts.targets) == set(public.sweep.targets)
    redpajama = laws["redpajama 70M, step 30,000"]
    assert redpajama.texts.domains["arxiv"].weights == {"arxiv_latex": 1.0}
    assert redpajama.texts.targets["arxiv"].weights == {"arxiv": 1.0}
