"""One message: what was given, the nearest name, what is allowed."""

from simtool.errors import SimtoolError, TrainingDiverged, unknown


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    assert (
        str(unknown("corpus", "gsm8", ["gsm8k", "c4"]))
        == "Unknown corpus 'gsm8'. Did you mean 'gsm8k'?\nKnown: c4, gsm8k."
    )


def test_where_nothing_is_near_nothing_is_suggested():
    assert str(unknown("metric", "xyzzy", ["js", "kl"])) == "Unknown metric 'xyzzy'.\nKnown: js, kl."


def test_a_run_that_diverges_is_a_message_as_well():
    assert issubclass(TrainingDiverged, SimtoolError)
