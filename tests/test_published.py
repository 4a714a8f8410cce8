"""Mixtures that were published: shares, sources, and that a name stands wherever a mixture does."""

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.hub import parse_hub_id
from simtool.errors import SimtoolError
from simtool.mixture import midtraining_mixtures, parse_midtraining, parse_mixture
from simtool.published import PUBLISHED

each = pytest.mark.parametrize("mixture", PUBLISHED.values(), ids=list(PUBLISHED))


@each
def test_weights_are_as_published_and_come_to_about_one(mixture):
    assert sum(mixture.weights.values()) == pytest.approx(1, abs=0.006)  # stage 3 of SmolLM3 says 1.00565
    assert sum(mixture.shares.values()) == pytest.approx(1, abs=1e-12)
    assert mixture.about.endswith(".") and ("/" in mixture.source or "arXiv" in mixture.source)


@each
def test_its_corpora_are_named(mixture):
    for corpus in mixture.weights:
        assert corpus in CATALOGUE or parse_hub_id(corpus).repo.count("/") == 1


def test_shares_of_smollm3():
    """text/pretraining/smollm3/stage1_8T.yaml: FineWeb-Edu 0.333, DCLM 0.37; 20 code and issue parts come to 0.125."""
    weights = PUBLISHED["smollm3-stage1"].weights
    assert (weights["fineweb_edu"], weights["dclm"]) == (0.333, 0.37)
    code = [0.025, 0.013, 0.013, 0.007, 0.018, 0.006, 0.006, 0.003, 0.001, 0.004, 0.0008, 0.005, 0.006, 0.0008, 0.0005]
    rest = [0.0007, 0.006, 0.0005, 0.0055, 0.0032]
    assert weights["the_stack_v2"] == pytest.approx(sum(code + rest))


def test_a_name_is_a_mixture():
    weights = parse_mixture("olmo2-midtraining").weights
    assert weights["allenai/dolmino-mix-1124:dclm"] == pytest.approx(0.472 / 1.0001)
    half = parse_mixture("olmo2-midtraining:0.5+c4:0.5").weights
    assert half["c4"] == 0.5 and half["allenai/dolmino-mix-1124:math"] == pytest.approx(0.104 / 1.0001)


def test_a_name_is_mixed_in():
    c4 = parse_mixture("c4")
    mixed = parse_midtraining("olmo3-midtraining:0.3", c4)
    assert dict(mixed.weights) == pytest.approx({"dolmino_1025": 0.3, "c4": 0.7})
    assert list(midtraining_mixtures(c4, ["olmo3-midtraining:.3"])) == ["olmo3-midtraining:0.3"]
    with pytest.raises(SimtoolError, match="olmo3-midtraining lacks a share"):
        parse_midtraining("olmo3-midtraining", c4)


def test_a_mixture_reads_its_own_text():
    mixture = parse_mixture("smollm3-stage3")
    again = parse_mixture("+".join(f"{name}:{share!r}" for name, share in mixture.weights.items()))
    assert dict(again.weights) == pytest.approx(dict(mixture.weights))
