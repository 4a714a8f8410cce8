"""Each preset is a study that can be planned; so is what is typed."""

import pytest

from simtool.errors import SimtoolError
from simtool.studies.plan import plan, study_from_json, study_to_json
from simtool.studies.presets import LARGE_SETTINGS, PRESETS, SMALL_SETTINGS, find_preset, study_of_flags
from simtool.training.sizes import SIZES


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_planned_and_comes_back_from_its_file(name):
    study = find_preset(name)
    assert study_from_json(study_to_json(study)) == study
    assert study.about.endswith(".") and PRESETS[name] is not None
    made = plan(study, "f" * 16, dict.fromkeys(study.targets, 1_000))
    assert made.tokens < made.tokens_by_arm <= made.tokens_by_run
    controls = {arm.name for arm in study.arms if arm.kind == "control"}
    assert all(arm.control in controls for arm in study.arms if arm.kind != "control")


def test_the_timing_grid_has_each_share_from_each_start_in_each_design():
    arms = [arm for arm in find_preset("graded-timing").arms if arm.kind != "control"]
    assert {(arm.design, arm.start) for arm in arms} == {
        (design, start) for design in ("paper", "exposure", "rate", "both") for start in (0.2, 0.5, 0.8)
    }
    assert len(arms) == 24
    late = [arm.weight for arm in arms if arm.design == "exposure" and arm.start == 0.8]
    assert late == [0.4, 0.8]  # as many special tokens as 0.1 and 0.2 from 0.2 on


@pytest.mark.parametrize("model", [name for name in SIZES if name != "tiny"])  # a toy of other tests
def test_what_is_typed_gets_the_settings_of_its_size(model):
    study = study_of_flags("web", ["code:0.25"], ["tasks"], model, 100_000_000, 2, cpt=["code"], start=0.25)
    small = model in ("nano", "micro")
    assert all(getattr(study, name) == value for name, value in (SMALL_SETTINGS if small else LARGE_SETTINGS).items())
    assert [arm.name for arm in study.arms] == ["control", "code:0.25", "code:1"]
    # 1.3 of what is read: of web all, of code all that follows the fork
    assert study.texts == {"web": 130_000_000, "code": 97_500_000, "tasks": None}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: find_preset("quik"), "Unknown study 'quik'. Did you mean 'quick'?\nKnown: graded, graded-timing,"
         " paper-160m, paper-1b, paper-410m, paper-70m, quick, shared-mini, timing-weight."),
        (lambda: study_of_flags("web", ["code"], ["tasks"], "nano", 10_000, 1),
         "--mid names a corpus and its share, such as starcoder:0.2. Got code."),
        (lambda: study_of_flags("web", [], ["tasks"], "nano", 10_000, 1),
         "A study needs something to mix in (--mid starcoder:0.2) and a target (--target pycode)."),
    ],
)  # fmt: skip
def test_what_is_no_study_is_refused(make, message):
    with pytest.raises(SimtoolError) as error:
        make()
    assert str(error.value) == message
