"""position.json says what a checkpoint is of; it and the files that it lists are checked."""

import json

import pytest

from simtool.errors import SimtoolError
from simtool.integrity import file_hash
from simtool.training.position import NAMES, REMEDY, Position, check_checkpoint, read_position, write_position

POSITION = Position("abc", (3, 1), 640, {"c4": "def"}, True, 0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "weights").write_bytes(b"1234")
    write_position(tmp_path, POSITION, {"model": "nano"}, {"weights": file_hash(tmp_path / "weights")})
    return tmp_path


def test_it_is_read_as_it_was_written(folder):
    position, content = read_position(folder)
    assert position == POSITION and content["recipe"] == {"model": "nano"}
    check_checkpoint(folder)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_any_change_is_found(folder, name):
    content = json.loads((folder / "position.json").read_text())
    (folder / "position.json").write_text(json.dumps({**content, name: 1 if name != "tokens" else 641}))
    with pytest.raises(SimtoolError, match="is damaged: its content does not match its hash") as error:
        check_checkpoint(folder)
    assert str(error.value).endswith(REMEDY)


def test_one_of_before_it_carried_a_hash_is_read(folder):
    content = json.loads((folder / "position.json").read_text())
    (folder / "position.json").write_text(json.dumps({name: content[name] for name in NAMES}))
    assert read_position(folder)[0] == POSITION
    (folder / "position.json").write_text(json.dumps({name: content[name] for name in NAMES - {"done"}}))
    with pytest.raises(SimtoolError, match="is damaged: KeyError 'done'"):
        read_position(folder)


def test_files_beside_it_are_checked_and_a_model_of_others_has_none(folder, tmp_path_factory):
    (folder / "weights").write_bytes(b"1235")
    with pytest.raises(SimtoolError, match="weights is damaged: its content does not match its hash"):
        check_checkpoint(folder)
    (folder / "weights").unlink()
    with pytest.raises(SimtoolError, match="weights is damaged: it is missing"):
        check_checkpoint(folder)
    check_checkpoint(tmp_path_factory.mktemp("other"))
    with pytest.raises(SimtoolError, match="No checkpoint at"):
        read_position(folder / "none")
