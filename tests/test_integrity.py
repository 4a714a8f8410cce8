"""Files of ours are read back as they were written, or one message says which is damaged and what to do."""

import json
import os

import pytest

from simtool import integrity
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.integrity import (
    check_file,
    check_json,
    damage_as_message,
    file_hash,
    json_hash,
    parse_json,
    read_json,
    with_hash,
)
from simtool.tokens.chat_templates import load_chat_template
from simtool.tokens.tokenizer import load_tokenizer


def test_a_file_is_hashed_once_per_version(tmp_path, monkeypatch):
    path, hashed = tmp_path / "a", []
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc": FIPS 180-2, B.1
    monkeypatch.setattr(integrity, "file_hash", lambda path: hashed.append(path) or file_hash(path))
    for _ in range(3):
        check_file(path, digest, "Do this.")
    assert len(hashed) == 1
    path.write_bytes(b"abcd")
    with pytest.raises(SimtoolError, match=r"a is damaged: its content does not match its hash\. Do this\.$"):
        check_file(path, digest, "Do this.")


def test_a_hash_is_of_what_json_says_not_of_how_it_is_written():
    content = {"b": [1, 2.5, None], "a": {"x": "é"}}
    hashed = with_hash(content)
    assert json_hash(json.loads(json.dumps(hashed, indent=3, sort_keys=True, ensure_ascii=False))) == hashed["hash"]
    assert with_hash({"a": (1, 2)})["hash"] == json_hash({"a": [1, 2]})


def test_what_carries_no_hash_has_only_names_of_before():
    check_json({"a": 1}, frozenset({"a", "b"}))
    check_json(with_hash({"new": 1}), frozenset())
    for content in ({"a": 1, "hush": "123"}, [1], None, {**with_hash({"a": 1}), "a": 2}):
        with pytest.raises(ValueError):
            check_json(content, frozenset({"a"}))


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[]", b"[1]", b"null", b'{"b": {}}', b'{"a": 1}'])
def test_whatever_is_wrong_inside_is_one_message(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with (
        pytest.raises(SimtoolError, match=rf"^{path} is damaged: .*\. Remove it\.$"),
        damage_as_message(path, "Remove it."),
    ):
        read_json(path)["a"]["b"] + 1


def test_damage_of_the_same_size_is_seen_after_a_first_look(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest = file_hash(path)
    check_file(path, digest, "Do this.")
    path.write_bytes(b"abd")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000))  # clocks of file systems are coarse
    with pytest.raises(SimtoolError, match=r"a is damaged: its content does not match its hash\. Do this\."):
        check_file(path, digest, "Do this.")


DEEP = "[" * 100_000


def test_json_that_is_nested_too_deeply_is_none(tmp_path):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(ValueError):
        parse_json("{")
    assert parse_json(b'{"a": 1}') == {"a": 1}


def test_json_of_others_that_is_nested_too_deeply_is_one_message(tmp_path):
    (tmp_path / "tokenizer.json").write_text(DEEP)
    (tmp_path / "tokenizer_config.json").write_text(DEEP)
    rows = [{"messages": '[{"role": "user", "content": "hi"}]'}, {"messages": f'[{{"role": {DEEP}'}]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SimtoolError, match=r"is not a tokenizer\.json \(ValueError: nested too deeply\)"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))
    with pytest.raises(SimtoolError, match="cannot be read: nested too deeply"):
        load_chat_template(str(tmp_path / "tokenizer_config.json"))
    with pytest.raises(SimtoolError, match=r"a row cannot be read as .*nested too deeply"):
        list(file_corpus(str(tmp_path / "chats.jsonl"), "messages").documents())
