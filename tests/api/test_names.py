"""What public functions take in several shapes."""

import pytest

from simtool.api.names import as_mixture_texts, as_names, as_weights, sampling
from simtool.profiles.resolve import SAMPLE_TOKENS, Options


@pytest.mark.parametrize(
    ("targets", "names", "weights"),
    [
        ("gsm8k", ["gsm8k"], {"gsm8k": 1.0}),
        (("gsm8k", "lima"), ["gsm8k", "lima"], {"gsm8k": 1.0, "lima": 1.0}),
        (["c4:0.5+math:0.5"], ["c4:0.5+math:0.5"], {"c4:0.5+math:0.5": 1.0}),
        ({"gsm8k": 0.5, "lima": 2}, ["gsm8k", "lima"], {"gsm8k": 0.5, "lima": 2}),
    ],
)
def test_a_name_a_list_and_weights_mean_the_same(targets, names, weights):
    assert as_names(targets) == names
    assert as_weights(targets) == weights


def test_a_list_has_the_weights_of_a_mapping_as_on_the_command_line():
    assert as_weights(["gsm8k:0.5", "lima:2", "sciq"]) == {"gsm8k": 0.5, "lima": 2.0, "sciq": 1.0}


@pytest.mark.parametrize("mid", [["starcoder:0.2", "math:0.125"], {"starcoder": 0.2, "math": 0.125}])
def test_mixtures_are_a_list_or_shares_by_corpus(mid):
    assert as_mixture_texts(mid) == ["starcoder:0.2", "math:0.125"]


def test_no_more_is_counted_than_a_sample_needs():
    assert sampling(None, None).sample == SAMPLE_TOKENS
    assert sampling(None, 100_000).sample == 400_000  # four times as many, so that the sample is no prefix
    assert sampling(None, 10**9).sample == SAMPLE_TOKENS
    assert sampling(Options(sample=None), 100_000).sample is None
