"""Figures that are not drawn are a line each, beside the output."""

from simtool.display.figures import print_missing


def test_each_figure_names_the_tables_that_it_lacks(capsys):
    print_missing({"study_timing": ["study_timing"], "study_prediction": ["study_effects", "study_agreement"]})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "study_timing: not drawn, no table study_timing\n"
        "study_prediction: not drawn, no table study_effects, study_agreement\n"
    )
