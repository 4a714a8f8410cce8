"""Chats as templates write them: the text of transformers, and the mask that we find ourselves."""

import re

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.chat import ChatTemplate, turns_of
from simtool.corpora.corpus import Document, plain_text, prompt_and_response
from simtool.corpora.layouts import Messages
from simtool.corpora.memory import corpus_in_memory
from simtool.corpora.reading import Reading
from simtool.errors import SimtoolError
from tests.corpora.chat_templates import CHATML, QWEN3, TEMPLATES, TOKENS

CHAT = Messages("messages")
# words that are also markup, and words that are trimmed
TALK = [
    {"role": "system", "content": "user"},
    {"role": "user", "content": "assistant"},
    {"role": "assistant", "content": " n\n"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "<|im_end|> is a marker"},
]
THOUGHT = [
    {"role": "user", "content": "one?"},
    {"role": "assistant", "content": "<think>\nearly\n</think>\n\nYes."},
    {"role": "user", "content": "two?"},
    {"role": "assistant", "content": "<think>\nlate\n</think>\n\nNo."},
]
CALLED = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "id": "c1", "function": {
        "name": "look", "arguments": {"city": 'Bo"nn', "days": 2}}}]},
    {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    {"role": "assistant", "content": "Rain."},
]  # fmt: skip


def document(messages: list[dict], template: str = CHATML, **tokens: str) -> Document:
    return ChatTemplate("toy", template, tokens or TOKENS)({"messages": messages}, CHAT)


def learnt(document: Document) -> list[str]:
    """What SFT on responses learns, run by run."""
    marked = "".join(f"\ue000{s.text}\ue001" if s.counted else s.text for s in document.segments)
    return re.findall("\ue000(.*?)\ue001", marked.replace("\ue001\ue000", ""), re.DOTALL)


def said(document: Document) -> list[tuple[str, str]]:
    return [(segment.role, segment.text) for segment in document.segments if segment.role != "markup"]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "messages", [TALK, TALK[1:], TALK[1:3], THOUGHT[-2:]], ids=["all", "no system", "one", "thought"]
)
def test_a_text_is_that_of_transformers(name, messages):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models

    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **TOKENS)
    expected = theirs.apply_chat_template(messages, chat_template=TEMPLATES[name], tokenize=False)
    expected = re.sub(r"Today Date: .*", "Today Date: 26 Jul 2024", expected)
    assert document(messages, TEMPLATES[name]).text == expected


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("chatml", [" n\n<|im_end|>", "<|im_end|> is a marker<|im_end|>"]),
        ("llama3", ["n<|eot_id|>", "<|im_end|> is a marker<|eot_id|>"]),
        ("gemma", ["n<end_of_turn>", "<|im_end|> is a marker<end_of_turn>"]),
        ("mistral", ["n</s>", "<|im_end|> is a marker</s>"]),
        ("qwen3", [" n\n<|im_end|>", "<think>\n\n</think>\n\n<|im_end|> is a marker<|im_end|>"]),
    ],
)
def test_the_assistants_turns_and_their_ends_are_learnt(name, runs):
    result = document(TALK, TEMPLATES[name])
    assert learnt(result) == runs
    roles = [role for role, _ in said(result)]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert dict(said(result))["system"] == "user"


def test_reasoning_that_a_template_leaves_out_is_not_there_and_the_rest_is_learnt():
    result = document(THOUGHT, QWEN3)
    assert "early" not in result.text
    assert learnt(result) == ["Yes.<|im_end|>", "<think>\nlate\n</think>\n\nNo.<|im_end|>"]
    assert ("reasoning", "late") in said(result)
    apart = [*THOUGHT[:3], {"role": "assistant", "reasoning_content": "late", "content": "No."}]
    assert document(apart, QWEN3).text == result.text


def test_a_call_of_a_tool_is_learnt_and_its_answer_is_not():
    result = document(CALLED, QWEN3)
    assert learnt(result) == [
        "<think>\n\n</think>\n\n"
        '<tool_call>\n{"name": "look", "arguments": {"city": "Bo\\"nn", "days": 2}}\n</tool_call><|im_end|>',
        "<think>\n\n</think>\n\nRain.<|im_end|>",
    ]
    assert ("tool", "rain") in said(result)


def test_a_turn_that_is_not_to_be_learnt_is_masked():
    quiet = [*TALK[:2], TALK[2] | {"train": False}, *TALK[3:]]
    assert learnt(document(quiet)) == ["<|im_end|> is a marker<|im_end|>"]


def test_prompts_and_responses_are_chats_of_two_turns():
    template = ChatTemplate("toy", CHATML)
    result = template({}, lambda row: prompt_and_response("2+2?", "4", "\n"))
    assert result.text == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
    assert learnt(result) == ["4<|im_end|>"]


def test_plain_text_stays_as_it_is():
    assert ChatTemplate("toy", CHATML)({}, lambda row: plain_text("a\nb")) == plain_text("a\nb")


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE.values() if entry.role == "sft"], ids=lambda e: e.name)
def test_every_target_of_the_catalogue_can_be_written_as_a_chat(entry):
    plain, result = entry.render(entry.example), ChatTemplate("toy", CHATML)(entry.example, entry.render)
    if turns_of(plain):
        assert result.text.startswith("<|im_start|>") and result.text.endswith("<|im_end|>\n")
        assert all(text in plain.text for _, text in said(result))
        assert learnt(result) and all(run.endswith("<|im_end|>") for run in learnt(result))
    else:
        assert result == plain


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (
            CHATML.replace("message.content", "message.content | upper"),
            "what the user says ('hello') cannot be found in what the chat template toy writes, so it cannot be masked",
        ),
        ("{{ messages[1].content }}", "the chat template toy leaves out what the user says ('hello')"),
        ("{{ raise_exception('No.') }}", "the chat template toy says: No."),
    ],
)
def test_what_cannot_be_masked_is_a_bad_row(template, problem):
    row = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "there"}]}
    corpus = corpus_in_memory([row], "talk", None)
    object.__setattr__(corpus, "template", ChatTemplate("toy", template))
    with pytest.raises(SimtoolError) as error:
        next(corpus.documents())
    assert problem in str(error.value)
    reading = Reading(skip_bad=True)
    assert not list(corpus.batches(reading=reading)) and reading.n_skipped == 1


def test_the_identity_is_of_what_a_template_writes():
    one = ChatTemplate("a", CHATML, {"bos_token": "<s>"})
    assert ChatTemplate("b", CHATML, {"bos_token": "<s>"}).identity() == one.identity()
    assert ChatTemplate("a", CHATML, {"bos_token": "<b>"}).identity() != one.identity()
    assert ChatTemplate("a", QWEN3, {"bos_token": "<s>"}).identity() != one.identity()
