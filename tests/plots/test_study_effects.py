"""The losses of a study as a LaTeX table, against values by hand."""

from simtool.plots.study_effects import latex
from tests.plots.example_tables import losses


def test_latex_has_each_mean_with_its_interval():
    text = latex(losses())
    # 2.0, 2.1, 2.2: mean 2.1; t(2) at 97.5% is 4.303, sd 0.1, so 4.303 * 0.1 / sqrt(3) = 0.248
    assert r"control & 2.100 ± 0.248 & 2.100 ± 0.248 \\" in text
    assert r"starcoder\_20\% & " in text
    assert r"\begin{tabular}{lrr}" in text
