"""Which target stands for a corpus in the picture of midtraining against continued pretraining."""

import polars as pl

from figures.midtraining_cpt import most_helped


def test_a_target_whose_loss_is_noise_does_not_come_first_by_chance():
    table = pl.DataFrame(
        {
            "source": "study", "size": "nano", "mix": "math", "kind": ["midtrain", "midtrain", "cpt", "cpt"],
            "target": ["noisy", "clear", "noisy", "clear"], "relative_improvement": [0.06, 0.05, 0.3, 0.08],
            "low": [-0.3, 0.01, -0.2, 0.05],
        }
    )  # fmt: skip
    assert most_helped(table)["target"].to_list() == ["clear", "clear"]
    without = table.with_columns(low=pl.lit(None, pl.Float64))  # published: no interval
    assert most_helped(without)["target"].to_list() == ["noisy", "noisy"]
