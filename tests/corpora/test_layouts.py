"""Rows of every usual layout become the document that people expect, with its mask."""

import json
import pickle

import pytest

from simtool.corpora.corpus import Corpus, Segment
from simtool.corpora.layouts import Messages, PromptResponse, TextFields, find_layout
from simtool.errors import SimtoolError

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "bye"},
    {"role": "assistant", "content": "so long"},
]
SHAREGPT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]

# a row; its layout; its text; what SFT on responses learns
CASES = {
    "text": ({"text": "a b"}, "", "a b", "a b"),
    "content": ({"content": "a b", "url": "x"}, "field content", "a b", "a b"),
    "raw_content": ({"raw_content": "a b"}, "field raw_content", "a b", "a b"),
    "one column": ({"sentence": "a b"}, "field sentence", "a b", "a b"),
    "messages": (
        {"messages": CHAT}, "messages, 5 turns on average", "Be kind.\nhi\nhello\nbye\nso long", "hello|so long",
    ),
    "messages as JSON": ({"messages": json.dumps(CHAT[1:3])}, "messages, 2 turns on average", "hi\nhello", "hello"),
    "sharegpt": ({"conversations": SHAREGPT, "id": "x"}, "conversations, 2 turns on average", "hi\nhello", "hello"),
    "turns without roles": ({"dialog": ["hi", "hello"]}, "dialog, 2 turns on average", "hi\nhello", "hello"),
    "alpaca": (
        {"instruction": "Sum.", "input": "1 2", "output": "3"},
        "prompt and response (instruction, input -> output)", "Sum.\n1 2\n3", "3",
    ),
    "alpaca without input": (
        {"instruction": "Say hi.", "input": None, "output": "hi"},
        "prompt and response (instruction, input -> output)", "Say hi.\nhi", "hi",
    ),
    "prompt, completion": (
        {"prompt": "2 + 2?", "completion": "4"}, "prompt and response (prompt -> completion)", "2 + 2?\n4", "4",
    ),
    "question, answer": (
        {"question": "q", "answer": "v"}, "prompt and response (question -> answer)", "q\nv", "v",
    ),
    "an answer inside": (
        {"question": "q", "answer": {"value": "v", "aliases": []}},
        "prompt and response (question -> answer.value)", "q\nv", "v",
    ),
    "several right answers": (
        {"question": "q", "answer": ["v", "w"]}, "prompt and response (question -> answer)", "q\nv", "v",
    ),
    "preference of chats": (
        {"chosen": CHAT[1:3], "rejected": CHAT[1:2]}, "chosen, 2 turns on average", "hi\nhello", "hello",
    ),
    "preference of texts": (
        {"prompt": "hi", "chosen": "hello", "rejected": "go away"},
        "prompt and response (prompt -> chosen)", "hi\nhello", "hello",
    ),
}  # fmt: skip


def learnt(document) -> str:
    return "|".join(segment.text for segment in document.segments if segment.counted and segment.text.strip())


@pytest.mark.parametrize("name", CASES)
def test_a_layout_is_told_from_its_rows(name):
    row, description, text, response = CASES[name]
    layout = find_layout([row], None, "a.jsonl")
    document = layout(row)
    assert (layout.describe([row]), document.text, learnt(document)) == (description, text, response)
    assert layout.has_prompt == (text != response)
    needed = {field: value for field, value in row.items() if field in layout.columns}
    assert layout(needed) == document  # so other columns need not be read
    assert pickle.loads(pickle.dumps(layout)) == layout  # it goes to other processes


@pytest.mark.parametrize(
    ("row", "fields", "text", "response"),
    [
        ({"question": "q", "answer": "a"}, "question,answer", "q\na", "a"),
        ({"title": "t", "body": "b"}, "title,body", "t\nb", "t\nb"),  # no prompt: two fields of one text
        ({"title": "t", "body": "b"}, "title->body", "t\nb", "b"),
        ({"a": "1", "b": "2", "c": "3"}, "a,b -> c", "1\n2\n3", "3"),
        ({"meta": {"text": "x"}}, "meta.text", "x", "x"),
        ({"meta.text": "x"}, "meta.text", "x", "x"),  # a name may hold a dot
        ({"paragraphs": ["a b", "c d"]}, "paragraphs", "a b\nc d", "a b\nc d"),
        ({"paragraphs": [{"text": "a"}, {"text": "b"}]}, "paragraphs", "a\nb", "a\nb"),
        ({"parts": [{"body": "a"}, {"body": "b"}]}, "parts.body", "a\nb", "a\nb"),
        ({"log": CHAT[1:3]}, "log", "hi\nhello", "hello"),
        ({"chosen": "x", "rejected": "y"}, "rejected", "y", "y"),
    ],
)
def test_fields_can_be_named(row, fields, text, response):
    document = find_layout([row], fields, "a.jsonl")(row)
    assert (document.text, learnt(document)) == (text, response)


def test_a_null_text_is_an_empty_document_and_a_number_is_an_error():
    assert TextFields("text")({"text": None}).segments == ()
    with pytest.raises(TypeError, match=r"field 'text' holds int, not text"):
        TextFields("text")({"text": 3})
    with pytest.raises(KeyError, match="text"):
        TextFields("text")({"body": "x"})


def test_content_lists_calls_of_tools_and_null_content():
    calls = [{"function": {"name": "add", "arguments": "{}"}}]
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": [{"type": "text", "text": "three"}]},
    ]
    document = Messages()({"messages": turns})
    assert document.text == f"hi\n{json.dumps(calls)}\n3\nthree"
    assert learnt(document) == f"{json.dumps(calls)}|three"


def test_thoughts_that_are_no_text_are_a_bad_row(tmp_path):
    turn = {"role": "assistant", "content": "Four.", "reasoning_content": 7}
    for read in (Messages(), Messages().turns):
        with pytest.raises(TypeError, match="reasoning_content"):
            read({"messages": [turn]})
    [answer] = Messages().turns({"messages": [turn | {"reasoning_content": ["Two.", "Easy."]}]})
    assert answer.message["reasoning_content"] == "Two.\nEasy."


def test_thoughts_are_reasoning_and_are_learnt():
    inline = Messages()({"messages": [{"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "<think>\nEasy.\n</think>\n\nFour."}]})  # fmt: skip
    assert inline.text == "2+2?\n<think>\nEasy.\n</think>\n\nFour."
    apart = Messages()({"messages": [{"role": "assistant", "content": "Four.", "reasoning_content": "Easy."}]})
    assert apart.text == "Easy.\nFour."
    for document in (inline, apart):
        assert document.in_role("reasoning").text == "Easy." and document.in_role("assistant").text == "Four."
    assert inline.prompt == "2+2?\n"


def test_a_turn_can_be_left_out_of_what_is_learnt():
    turns = [*CHAT[1:2], {**CHAT[2], "weight": 0}, *CHAT[3:]]
    assert learnt(Messages()({"messages": turns})) == "so long"


def test_an_unknown_role_is_an_error():
    with pytest.raises(ValueError, match=r"^a message has the role 'narrator', not one of user, human"):
        Messages()({"messages": [{"role": "narrator", "content": "x"}]})


def test_views_are_the_segments_of_one_role():
    document = Messages()({"messages": CHAT})
    views = {role: document.in_role(role).text for role in ("system", "user", "assistant", "text")}
    assert views == {"system": "Be kind.", "user": "hi\nbye", "assistant": "hello\nso long", "text": ""}
    assert document.in_role("user").segments == (Segment("text", "hi\nbye"),)


def test_what_is_ambiguous_lists_the_ways_and_what_to_type():
    with pytest.raises(SimtoolError) as error:
        find_layout([{"text": "all of it", "messages": CHAT}], None, "a.jsonl")
    assert str(error.value) == (
        "a.jsonl could be read in several ways (field text; messages, 5 turns on average). It has: text, messages.\n"
        "Name what is meant: PATH#FIELD, PATH#PROMPT->RESPONSE; here perhaps PATH#text."
    )


def test_what_is_unknown_lists_the_fields_and_what_to_type():
    with pytest.raises(SimtoolError) as error:
        find_layout([{"title": "t", "abstract": "a longer text"}], None, "a.jsonl")
    assert str(error.value) == (
        "a.jsonl has no field that is known to hold text. It has: title, abstract.\n"
        "Name what is meant: PATH#FIELD, PATH#PROMPT->RESPONSE; here perhaps PATH#abstract."
    )


def test_of_two_fields_of_prose_both_are_named():
    with pytest.raises(SimtoolError, match=r"here perhaps PATH#text_de or PATH#text_en\.$"):
        find_layout([{"id": "7", "text_en": "a sentence " * 5, "text_de": "ein Satz mit Wort " * 5}], None, "a.jsonl")


@pytest.mark.parametrize("fields", ["nosuch", "text,nosuch", "text->nosuch"])
def test_a_field_that_no_row_has_is_an_error(fields):
    with pytest.raises(SimtoolError, match=r"^a\.jsonl has no field 'nosuch'\. It has: text\.\n"):
        find_layout([{"text": "x"}], fields, "a.jsonl")


def test_ways_of_reading_have_identities_of_their_own():
    layouts = [TextFields(), TextFields("body"), PromptResponse(("q",), "a"), Messages("messages")]
    corpora = [Corpus("a", "", "sft", "", layout, {}, None) for layout in layouts]
    assert len({corpus.reading_identity() for corpus in corpora}) == len(layouts)
