"""Agreement with a pair or a target left out is that of the others."""

import numpy as np
import pytest

from analyses import advantage_agreement


def test_leaving_out_a_pair_is_the_correlation_of_the_others():
    rng = np.random.default_rng(0)
    predicted, observed = rng.normal(size=(2, 3, 3))
    observed[0, 0] = np.nan
    arms = [("starcoder", 0.2), ("starcoder", 1.0), ("math", 0.1)]
    rows = {row["left_out"]: row for row in advantage_agreement._rows(arms, ["a", "b", "c"], predicted, observed)}
    assert len(rows) == 1 + 3 + 8 and rows[""]["n"] == 8
    remaining = np.isfinite(observed)
    remaining[1, 2] = False
    row = rows["pair starcoder:1 -> c"]
    assert row["n"] == 7
    assert row["pearson"] == pytest.approx(np.corrcoef(predicted[remaining], observed[remaining])[0, 1])
    remaining = np.isfinite(observed)
    remaining[:, 1] = False
    assert rows["target b"]["pearson"] == pytest.approx(np.corrcoef(predicted[remaining], observed[remaining])[0, 1])
    assert rows["target b"]["n"] == 5
