"""What public functions take in several shapes."""

import pytest

from simtool.api.names import as_names, as_weights, sampling
from simtool.profiles.resolve import SAMPLE_TOKENS, Options


@pytest.mark.parametrize(
    ("targets", "names", "weights"),
    [
        ("gsm8k", ["gsm8k"], {"gsm8k": 1.0}),
        (("gsm8k", "lima"), ["gsm8k", "lima"], {"gsm8k": 1.0, "lima": 1.0}),
        ({"gsm8k": 0.5, "lima": 2}, ["gsm8k", "lima"], {"gsm8k": 0.5, "lima": 2}),
    ],
)
def test_a_name_a_list_and_weights_mean_the_same(targets, names, weights):
    assert as_names(targets) == names
    assert as_weights(targets) == weights


def test_no_more_is_counted_than_a_sample_needs():
    assert sampling(None, None).sample == SAMPLE_TOKENS
    assert sampling(None, 100_000).sample == 400_000  # four times as many, so that the sample is no prefix
    assert sampling(None, 10**9).sample == SAMPLE_TOKENS
    assert sampling(Options(sample=None), 100_000).sample is None
