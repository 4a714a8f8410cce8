"""Results put into sentences: what training did, and how a prediction fared."""

from simtool.page import sentences

ROW = {
    "arm": "math:0.2", "target": "gsm8k", "n_seeds": 3, "relative_improvement": 0.02, "low": 0.01, "high": 0.03,
    "p_holm": 0.01,
}  # fmt: skip


def test_effects_in_words():
    assert sentences.effect(ROW) == "math:0.2 lowered the loss on gsm8k by 2.0% [1.0%, 3.0%] (3 seeds)."
    assert sentences.effect({**ROW, "low": -0.01, "minimum_detectable": 0.03}) == (
        "math:0.2 changed the loss on gsm8k by an amount not significantly different from zero"
        " (improvement +2.0% [-1.0%, 3.0%]) (3 seeds). Minimum detectable effect (80% power): 3.00%."
    )
    assert sentences.effect({**ROW, "relative_improvement": None}) == (
        "math:0.2 has no measured effect on the loss on gsm8k (3 seeds)."
    )


def test_agreement_in_words():
    row = {"predictor": "predicted", "left_out": "", "n": 16, "spearman": 0.9, "spearman_low": 0.5, "spearman_high": 1}
    assert sentences.agreement(row) == (
        "The prediction and the improvement correlate at Spearman's ρ = +0.90 [+0.50, +1.00] (n = 16)."
    )
