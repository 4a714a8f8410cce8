"""Studies as functions: by a preset's name or by their parts, in a folder of their own."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from simtool.api import study as api
from simtool.errors import SimtoolError


def test_a_study_has_a_presets_name_or_parts():
    assert api.define_study().name == api.define_study("quick").name == "quick"
    typed = api.define_study(pretrain="web", mid=["code:0.25"], targets=["tasks"], seeds=2, start=0.4)
    assert [arm.name for arm in typed.arms] == ["control", "code:0.25"]
    assert typed.targets == ("tasks",) and len(typed.seeds) == 2 and typed.arms[1].start == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"mid": ["code:0.2"]}, "Say what is pretrained on, too: --pretrain c4."),
        (
            {"preset": "quick", "pretrain": "c4"},
            "Name a preset (quick) or what is pretrained on (--pretrain c4), not both.",
        ),
    ],
)
def test_half_a_study_is_refused(parts, message):
    with pytest.raises(SimtoolError) as error:
        api.define_study(**parts)
    assert str(error.value) == message


def test_a_study_has_a_folder_of_its_name(tmp_path):
    study = api.define_study("quick")
    assert api.folder_of(study) == Path("studies/quick") and api.folder_of(study, tmp_path) == tmp_path
    assert api.options_for(tmp_path) is not None  # not prepared: texts must be found


def test_what_never_began_cannot_be_resumed(tmp_path):
    with pytest.raises(SimtoolError) as error:
        api.train_eval("quick", tmp_path, resume=True)
    assert str(error.value) == f"There is no study in {tmp_path} to go on with. Leave --resume out, or name its --out."
    assert not list(tmp_path.iterdir())


def test_a_folder_of_its_name_stays_among_the_studies():
    for pretrain, target in (("../../a.jsonl", "../b.jsonl"), ("/a/../../b", "x" * 300)):
        study = api.define_study(pretrain="web", mid=[f"{pretrain}:0.25"], targets=[target])
        folder = api.folder_of(study)
        assert folder.parent == Path("studies") and len(folder.name) < 100 and ".." not in folder.parts
    others = (
        api.define_study(pretrain="web", mid=["a/b:0.2"], targets=["c"]),
        api.define_study(pretrain="web", mid=["a_b:0.2"], targets=["c"]),
    )
    assert api.folder_of(others[0]) != api.folder_of(others[1])
