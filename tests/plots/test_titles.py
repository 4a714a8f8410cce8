"""Names for people: of metrics, features, predictors and sizes; what has no entry is shown as words."""

import pytest

from simtool.plots.titles import feature_title, metric_title, predictor_title, setting_title, size_title, symbol_of


@pytest.mark.parametrize(
    ("predictor", "title"),
    [
        ("token.token", "paper's score"),
        ("cross_entropy.skeleton2", "cross-entropy, syntax pairs"),
        ("witten_bell.token1-4", "Witten-Bell, tokens 1-4"),
        ("dsir_kl.token+token2", "DSIR's KL divergence, tokens + token pairs"),
        ("js.char4", "Jensen-Shannon divergence, character 4-grams"),
        ("kneser_ney", "Kneser-Ney 4-grams"),
        ("same-domain baseline", "same-domain baseline"),
        ("toy_distance.document_length", "toy distance, document length"),
    ],
)
def test_predictors(predictor, title):
    assert predictor_title(predictor) == title


def test_symbols_and_sizes():
    assert [symbol_of(name) for name in ("token", "token2", "skeleton1", "char3", "token+token2")] == [
        "token", "token pair", "syntax symbol", "character triple", "symbol",
    ]  # fmt: skip
    assert [size_title(size) for size in ("410m", "1.4b", "nano", "pooled")] == ["410M", "1.4B", "nano", "pooled"]
    assert feature_title("skeleton1") == "syntax" and metric_title("cosine") == "cosine"


def test_where_results_are_from():
    assert (
        setting_title("published", "410m") == "410M, published" and setting_title("study", "nano") == "our study, nano"
    )
