"""One message: what was given, the nearest name, what is allowed."""

import sys

import pytest

from simtool.errors import SimtoolError, TrainingDiverged, missing_extra, require, unknown


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    assert (
        str(unknown("corpus", "gsm8", ["gsm8k", "c4"]))
        == "Unknown corpus 'gsm8'. Did you mean 'gsm8k'?\nKnown: c4, gsm8k."
    )


def test_where_nothing_is_near_nothing_is_suggested():
    assert str(unknown("metric", "xyzzy", ["js", "kl"])) == "Unknown metric 'xyzzy'.\nKnown: js, kl."


def test_a_run_that_diverges_is_a_message_as_well():
    assert issubclass(TrainingDiverged, SimtoolError)


@pytest.mark.parametrize(("package", "extra"), [("torch", "train"), ("tiktoken.core", "tokenizers")])
def test_a_package_that_is_not_installed_is_named_with_its_extra(package, extra):
    error = missing_extra(ModuleNotFoundError(name=package))
    assert str(error) == f"This needs {package}: pip install '.[{extra}]' in a clone of simtool."


def test_any_other_package_is_a_bug():
    assert missing_extra(ModuleNotFoundError(name="numpy")) is None


def test_what_is_required_is_looked_for_before_anything_is_begun(monkeypatch):
    require("json")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SimtoolError, match=r"^This needs torch: pip install '\.\[train\]'"):
        require("torch")
