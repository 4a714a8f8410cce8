"""`tokenizers` is the specification: whatever encodes here must give its ids, for every text."""

import itertools
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.tokens.backends import BACKEND_VARIABLE, TRICKY, Reference
from simtool.tokens.catalogue import EMBEDDED_FOLDER, TOKENIZERS
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import DATA, REAL, needs_fastokens, save, small_definition

CODE_POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]


def random_texts(n: int, seed: int) -> list[str]:
    """Strings in which the pieces that implementations disagree on meet every code point."""
    rng = random.Random(seed)
    pieces = [
        *"aBx 1'\t\n\r.,!/_-=\0",
        "  ",
        "\r\n",
        "'s",
        "'LL",
        "I'm",
        "don't",
        "<|endoftext|>",
        "<|padding|>",
    ]
    pieces += [
        "\u0301",
        "\u200d",
        "👩‍👩‍👧",
        "🇬🇧",
        "👍🏽",
        "中",
        "あ",
        "한",
        "é",
        "ſ",
        "K",
        "İ",
        "ǅ",
        "ʰ",
        "ß",
        "ﬁ",
    ]
    pieces += [
        "\u00a0",
        "\u2003",
        "\u2028",
        "\u0085",
        "\x1c",
        "\ufeff",
        "٣",
        "²",
        "Ⅷ",
        "𝟘",
        "123",
        "2024-01-31",
    ]
    return [
        "".join(
            rng.choice(pieces) if rng.random() < 0.8 else chr(rng.choice(CODE_POINTS))
            for _ in range(rng.randint(0, 40))
        )
        for _ in range(n)
    ]


def assert_same_ids(tokenizer, reference: Reference, texts: list[str]) -> None:
    ids, offsets = tokenizer.encode(texts)
    for i, text in enumerate(texts):
        assert ids[offsets[i] : offsets[i + 1]].tolist() == reference.encode_one(text), ascii(text)


@given(st.lists(st.text(), max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_text_gets_the_ids_of_tokenizers_and_comes_back(embedded, reference, texts):
    assert_same_ids(embedded, reference, texts)
    ids, offsets = embedded.encode(texts)
    assert [embedded.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == texts


def test_thousands_of_hard_strings_get_the_ids_of_tokenizers(embedded, reference):
    assert_same_ids(embedded, reference, random_texts(4_000, seed=0))


def test_every_code_point_gets_the_ids_of_tokenizers(embedded, reference):
    contexts = ("a{0}B {0}{0}1{0}'s{0}\n".format(chr(point)) for point in CODE_POINTS[:0x3100])
    assert_same_ids(embedded, reference, list(contexts))
    rest = "".join(map(chr, CODE_POINTS[0x3100:]))  # as one string in pieces: a third of the time
    assert_same_ids(embedded, reference, [rest[i : i + 500] for i in range(0, len(rest), 500)])


def test_the_small_one_gets_the_ids_of_tokenizers_and_comes_back(small):
    reference = Reference((EMBEDDED_FOLDER / "small.json").read_text(encoding="utf-8"))
    texts = [*TRICKY, *random_texts(2_000, seed=2), *map(chr, CODE_POINTS[:0x600])]
    assert_same_ids(small, reference, texts)
    ids, offsets = small.encode(texts)
    assert [small.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == texts
    assert ids.max() < small.vocabulary_size == 4_096


@pytest.mark.parametrize("piece", ["a", "aB", " ", "\n", "\t ", "=", "1", "中", "\u0301", "あa", "👩‍", "'s"])
def test_long_repeats_get_the_ids_of_tokenizers(embedded, reference, piece):
    text = piece * 20_000
    assert_same_ids(embedded, reference, [text])
    assert embedded.decode(embedded.encode([text])[0]) == text


@needs_fastokens
@pytest.mark.parametrize("name", REAL)
def test_real_tokenizers_get_the_ids_of_tokenizers(name):
    tokenizer = load_tokenizer(name, DATA)
    assert tokenizer.backend == "fastokens"
    file = DATA / "tokenizers" / TOKENIZERS[name].file
    assert_same_ids(tokenizer, Reference(file.read_text(encoding="utf-8")), [*TRICKY, *random_texts(1_000, seed=1)])


@needs_fastokens
def test_both_backends_of_a_tokenizer_answer_alike(embedded, monkeypatch):
    assert embedded.backend == "fastokens"  # chosen at its first use, which may be here
    monkeypatch.setenv(BACKEND_VARIABLE, "tokenizers")
    slow = load_tokenizer("default")
    assert (embedded.backend, slow.backend) == ("fastokens", "tokenizers")
    texts = ["", "a<|endoftext|>b", "", "half \ud83d of \udc4d a pair", "\u00a0\r\n  x", ""]
    for fast, sure in zip(embedded.encode(texts), slow.encode(texts), strict=True):
        assert fast.dtype == sure.dtype
        assert fast.tolist() == sure.tolist()
        assert not fast.flags.writeable and not sure.flags.writeable


def test_a_special_token_in_a_text_is_text(embedded):
    ids, _ = embedded.encode(["a<|endoftext|>b"])
    assert embedded.end_of_text not in ids
    assert embedded.decode(ids) == "a<|endoftext|>b"
    assert embedded.decode([embedded.end_of_text]) == "<|endoftext|>"


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(embedded):
    text = json.loads('"a\\ud800b"')
    assert embedded.decode(embedded.encode([text])[0]) == "a\ufffdb"
    assert embedded.encode(["ok", text])[0].tolist() == embedded.encode(["ok", "a\ufffdb"])[0].tolist()


@pytest.mark.parametrize("texts", [[1], "text", [b"x"], None])
def test_what_is_no_list_of_texts_is_refused(embedded, texts):
    with pytest.raises(TypeError):
        embedded.encode(texts)


def test_empty_documents_keep_their_place(embedded):
    assert embedded.encode([])[1].tolist() == [0]
    ids, offsets = embedded.encode(["", "a", ""])
    assert offsets.tolist() == [0, 0, 1, 1]  # "a" is a byte, so one token
    assert (ids.dtype, offsets.dtype) == (np.uint16, np.int64)


@pytest.mark.parametrize(("size", "dtype"), [(65_535, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_ids_take_two_bytes_up_to_65536_entries(tmp_path, size, dtype):
    definition = small_definition()
    definition["added_tokens"][0]["id"] = size - 1
    definition["model"]["vocab"] |= {f"filler{i}": i for i in range(4, size - 1)}
    tokenizer = load_tokenizer(save(tmp_path / "tokenizer.json", definition))
    assert tokenizer.vocabulary_size == size
    for ids in (tokenizer.encode(["ab ba"])[0], tokenizer.encode([])[0]):
        assert ids.dtype == dtype
    assert tokenizer.encode(["ab ba"])[0].tolist() == [3, 2, 1, 0]


def test_truncation_padding_and_post_processor_of_the_file_do_nothing(tmp_path):
    definition = small_definition(
        truncation={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "a",
        },
    )
    path = save(tmp_path / "tokenizer.json", definition)
    assert load_tokenizer(path).encode(["ab ba"])[0].tolist() == [3, 2, 1, 0]


# What people read


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", ["␣the"]),
        ("\n", ["\\n"]),
        ("\t\t", ["\\t\\t"]),
        ("    return", ["␣␣␣", "␣return"]),
        ("é", ["é"]),
        ("\u2603", ["\\xe2", "\\x98", "\\x83"]),  # a snowman, U+2603, is e2 98 83 in UTF-8
        ("\0", ["\\x00"]),
    ],
)
def test_a_token_is_shown_readably(embedded, text, shown):
    assert [embedded.token_text(token) for token in embedded.encode([text])[0]] == shown


def test_every_token_can_be_shown(embedded):
    shown = [embedded.token_text(token) for token in range(embedded.vocabulary_size)]
    assert shown[0] == "<|endoftext|>"
    assert all(text.isprintable() and " " not in text and text for text in shown)
    with pytest.raises(IndexError, match=r"^No token 32768 in default: it has 32,768\.$"):
        embedded.token_text(32_768)


@pytest.mark.skipif("llama2" not in REAL, reason="needs the shared tokenizers")
def test_a_sentencepiece_token_is_shown_like_any_other():
    tokenizer = load_tokenizer("llama2", DATA)
    shown = [tokenizer.token_text(token) for token in tokenizer.encode(["the\n\x01"])[0]]
    assert shown == ["␣the", "\\n", "\\x01"]
