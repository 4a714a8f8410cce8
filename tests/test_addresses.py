"""What a user types becomes a name without secrets, and still opens the text."""

from pathlib import Path

import pytest

from simtool import addresses
from simtool.addresses import opening, public_name, without_home, without_secrets
from simtool.errors import SimtoolError

PLAIN = (
    "c4", "c4:0.8+starcoder:0.2", "a+b.jsonl", "openai/gsm8k:main:train#question", "hf://datasets/a/b@main/x.jsonl",
    "s3://bucket/a.jsonl#body", "abfs://container@account.dfs.core.windows.net/a.parquet", "hdfs://user@host/a",
    "https://h.org:8080/a.jsonl", "https://h.org/a.jsonl?id=3&page=2",
)  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(addresses, "_whole", {})


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_without_secrets_stays_as_it_is(name):
    assert public_name(name) == without_secrets(name) == opening(name) == name


@pytest.mark.parametrize(
    ("typed", "name", "address"),
    [
        ("https://me:pw@h.org/a.jsonl", "https://h.org/a.jsonl", "https://me:pw@h.org/a.jsonl"),
        ("https://ghp_1@h.org/a.jsonl", "https://h.org/a.jsonl", "https://ghp_1@h.org/a.jsonl"),
        ("s3://KEY:SECRET@b/a.jsonl", "s3://b/a.jsonl", "s3://KEY:SECRET@b/a.jsonl"),
        ("https://h.org/a?X-Amz-Signature=1&id=3", "https://h.org/a?id=3", "https://h.org/a?X-Amz-Signature=1&id=3"),
        ("https://h.org/a?x=unknown", "https://h.org/a", "https://h.org/a?x=unknown"),
        ("https://a:b@h/a.csv?sig=1#text[user]@test", "https://h/a.csv#text[user]@test", "https://a:b@h/a.csv?sig=1"),
        ("https://h/a.jsonl?sig=1[user]@test", "https://h/a.jsonl[user]@test", "https://h/a.jsonl?sig=1"),
        ("https://a:b@h/a.jsonl:0.5+c4:0.5", "https://h/a.jsonl:0.5+c4:0.5", "https://a:b@h/a.jsonl"),
        ("https://h/a?sig=1+2", "https://h/a", "https://h/a?sig=1+2"),
    ],
)
def test_what_is_secret_is_left_out_and_what_opens_it_is_remembered(typed, name, address):
    assert public_name(typed) == name == public_name(name)
    assert list(addresses._whole.values()) == [address]
    assert all(opening(shown) == address and name.startswith(shown) for shown in addresses._whole)


def test_a_new_signature_takes_the_place_of_an_older_one_and_another_text_does_not():
    public_name("https://h/a?X-Amz-Signature=1&X-Amz-Date=1")
    public_name("https://h/a?X-Amz-Signature=2&X-Amz-Date=2")
    assert opening("https://h/a") == "https://h/a?X-Amz-Signature=2&X-Amz-Date=2"
    with pytest.raises(SimtoolError, match=r"Two addresses differ only in what is not shown of them: https://h/a\."):
        public_name("https://h/a?day=2")


def test_a_message_is_cleaned_and_nothing_is_remembered():
    message = "Cannot open https://me:pw@h/a?sig=1 (see s3://K:S@b/c): 403, url='https://h/a?token=1'"
    assert without_secrets(message) == "Cannot open https://h/a (see s3://b/c): 403, url='https://h/a'"
    assert not addresses._whole


def test_a_home_folder_is_not_shown(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    text = "/home/me/a.jsonl:0.5+/home/me/b.jsonl:0.5, /home/me, /home/menu, x/home/me/a, name=/home/me/c"
    assert without_home(text) == "~/a.jsonl:0.5+~/b.jsonl:0.5, ~, /home/menu, x/home/me/a, name=~/c"
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert without_home("/a/b") == "/a/b"
