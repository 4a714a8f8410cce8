"""Skeletons: by hand, and against a reading character by character."""

import itertools
import re
import unicodedata
from unittest import mock

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.profiles.skeleton import (
    CLASSES,
    CLITICS,
    CLOSED_CLASS,
    _segments,
    read_skeletons,
    skeleton_ids,
    skeleton_symbols,
)

# Letters of several scripts, a combining mark, marks of many classes, line structure, NUL, a surrogate.
characters = st.one_of(
    st.sampled_from("aiItTsSrRdD'’_09 .,(=\n\r\t\0éßDžñ日ひカไ็ကक\u0301²٣—“”€+∑😀𝒜\x0b\x85\u2028\u00a0\ud800"),
    st.characters(),
)
words = st.sampled_from([*CLOSED_CLASS, *CLITICS, "The", "DON'T", "snake_case", "0x1F", "\r\n", "\n\n    ", "\n\t"])
texts = st.lists(st.one_of(characters, words), max_size=30).map("".join)


# --- The naive twin ---


def naive_skeleton(text):
    symbols = []
    text = text.replace("’", "'")
    i = 0
    while i < len(text):
        if text[i] in "\r\n":
            j = i
            while j < len(text) and (text[j] in "\r\n" or is_space(text[j])):
                j += 1
            *lines, indent = re.split("\r\n|\r|\n", text[i:j])
            columns = sum(4 if c == "\t" else 1 for c in indent)
            symbols.append(("blank+" if len(lines) > 1 else "newline+") + naive_indent(columns))
        elif is_space(text[i]):
            j = i + 1
        elif in_word(text[i]):
            j = i + 1
            while (
                j < len(text)
                and in_word(text[j])
                and (is_mark(text[j]) or not (unspaced(text[j]) or unspaced(text[i])))
            ):
                j += 1
            symbols.append(naive_word(text[i:j]))
        elif clitic := naive_clitic(text, i):
            j = i + len(clitic)
            symbols.append(clitic)
        else:
            j = i + 1
            symbols.append(naive_mark(text[i]))
        i = j
    return symbols


def is_space(c):
    return c in " \t\v\f" or (ord(c) > 127 and unicodedata.category(c)[0] == "Z")


def in_word(c):
    return c == "_" or unicodedata.category(c)[0] in "LMN"


def is_mark(c):
    return unicodedata.category(c)[0] == "M"


def joins(first, c):
    """Whether a character goes on with the word that the first began."""
    return is_mark(c) or not (unspaced(c) or unspaced(first))


def unspaced(c):
    return unicodedata.category(c) in ("Lo", "Lm") and regex.match(r"\p{Word_Break=Other}", c) is not None


def naive_clitic(text, i):
    found = re.match("'[a-zA-Z]+", text[i:])
    if not found or i == 0 or not in_word(text[i - 1]) or found[0].lower() not in CLITICS:
        return None
    end = i + found.end()
    return None if end < len(text) and in_word(text[end]) else found[0].lower()


def naive_word(word):
    if word.isascii() and word != "i" and (word.lower() in CLOSED_CLASS or word == "I"):
        return word if word == "I" else word.lower()
    if set(word) == {"_"}:
        return "_"
    categories = [unicodedata.category(c) for c in word]
    digits = [c[0] == "N" for c in categories]
    uppers = [c in ("Lu", "Lt") for c in categories]
    if digits[0]:
        for start, name in ((9, "9+"), (5, "5-8"), (4, "4"), (3, "3"), (2, "2"), (1, "1")):
            if len(word) >= start:
                return ("9" if all(digits) else "9x") + f"[{name}]"
    if "Ll" in categories:
        case = "miXed" if any(uppers[1:]) else "Capital" if uppers[0] else "lower"
    else:
        case = "UPPER" if any(uppers) else "uncased"
    inside = "_9" if any(digits) or "_" in word else ""
    for start, name in ((12, "12+"), (8, "8-11"), (6, "6-7"), (4, "4-5"), (3, "3"), (2, "2"), (1, "1")):
        if len(word) >= start:
            return f"{case}{inside}[{name}]"


def naive_mark(c):
    if c.isascii():
        return c if c.isprintable() else "<control>"
    return next(name for name, categories in CLASSES.items() if unicodedata.category(c) in categories)


def naive_indent(columns):
    for start, name in ((13, "13+"), (9, "9-12"), (5, "5-8"), (3, "3-4"), (1, "1-2"), (0, "0")):
        if columns >= start:
            return name


# --- The skeleton ---

CODE = """\
def area(radius_m, k=2):
    # don't

	return PI_2 * k**0x1F
"""
SENTENCE = "The Owners said they’d NOT seen iPhones; “we did”, wrote O'Brien — in 1987."
WORD_PROBLEM = "Tom has 48 apples. I ate 1,250.5 of it.\r\n\r\n#### 72"


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        (
            CODE,
            "lower[3] lower[4-5] ( lower_9[8-11] , lower[1] = 9[1] ) : newline+3-4"
            " # don 't blank+3-4 lower[6-7] UPPER_9[4-5] * lower[1] * * 9x[4] newline+0",
        ),
        (
            SENTENCE,
            "the Capital[6-7] lower[4-5] they 'd not lower[4-5] miXed[6-7] ; <quote> we did <quote> ,"
            " lower[4-5] UPPER[1] ' Capital[4-5] <dash> in 9[4] .",
        ),
        (
            WORD_PROBLEM,
            "Capital[3] has 9[2] lower[6-7] . I lower[3] 9[1] , 9[3] . 9[1] of it . blank+0 # # # # 9[2]",
        ),
        ("i = I", "lower[1] = I"),
        ("x's 's 'sx x'sx", "lower[1] 's ' lower[1] ' lower[2] lower[1] ' lower[2]"),
        ("__init__ _ __", "lower_9[8-11] _ _"),
        ("日本 प्रेम naïve Élan", "uncased[1] uncased[1] uncased[4-5] lower[4-5] Capital[4-5]"),
        ("今天去公园。カメラ", " ".join(["uncased[1]"] * 5) + " <punctuation> uncased[3]"),  # katakana joins
        ("ไทย x", "uncased[1] uncased[1] uncased[1] lower[1]"),
        ("ที่q中b", "uncased[3] lower[1] uncased[1] lower[1]"),  # a letter with its two marks
        ("\0\x7f😀€∑", "<control> <control> <symbol> <currency> <mathematical>"),
        ("themselves themselvesandonandonandon", "themselves lower[12+]"),
        ("   \t ", ""),
        ("", ""),
    ],
)
def test_skeletons_by_hand(text, symbols):
    names = skeleton_symbols()
    assert [names[i] for i in skeleton_ids(text)] == symbols.split()


@given(text=texts)
@settings(max_examples=300, deadline=None)
def test_skeletons_match_a_reading_character_by_character(text):
    names = skeleton_symbols()
    assert [names[i] for i in skeleton_ids(text)] == naive_skeleton(text)


@pytest.mark.parametrize("n", [7, 8, 9, 15, 16, 17, 24, 25, 63, 64, 65, 71, 72, 200])
@pytest.mark.parametrize("rare", ["A", "é", "9", "_", "日"])
def test_what_a_long_word_holds_is_seen_wherever_it_stands(n, rare):
    text = " ".join("a" * i + rare + "a" * (n - i - 1) for i in range(n))
    names = skeleton_symbols()
    assert [names[i] for i in skeleton_ids(text)] == naive_skeleton(text)


def test_every_assigned_character_has_its_kind():
    """Of the planes that are not looked through, every category is of one class with what is not assigned."""
    others = itertools.chain(range(0x40000, 0xE0000), range(0xE1000, 0x110000))
    assert {unicodedata.category(chr(point)) for point in others} <= set(CLASSES["<control>"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(texts, max_size=6).map(" a b ".join), max_size=4), st.integers(1, 12))
def test_a_long_text_is_the_same_in_segments(documents, n_characters):
    symbols, offsets = read_skeletons(documents)
    with mock.patch("simtool.profiles.skeleton.SEGMENT", n_characters):
        in_segments, ends = read_skeletons(documents)
        assert ["".join(_segments(document)) for document in documents] == documents
    assert in_segments.tolist() == symbols.tolist() and ends.tolist() == offsets.tolist()


def test_a_long_text_is_cut_between_words():
    with mock.patch("simtool.profiles.skeleton.SEGMENT", 3):
        assert [*_segments("it's a\n  b cd, e fg")] == ["it's", " a\n  b", " cd, e", " fg"]


def test_every_skeleton_symbol_has_one_name():
    names = skeleton_symbols()
    assert len(set(names)) == len(names)
    assert all(name == name.strip() and len(name.split()) == 1 for name in names)


@pytest.mark.parametrize("word", CLOSED_CLASS)
def test_closed_class_words_are_kept_in_any_case(word):
    names = skeleton_symbols()
    cases = {word, word.capitalize(), word.upper()}
    assert {names[i] for case in cases for i in skeleton_ids(case)} == {word}
    assert word not in {names[i] for i in skeleton_ids(f"{word}q q{word} {word}_ {word}é")}
