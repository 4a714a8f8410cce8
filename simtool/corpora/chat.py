"""Chats as a model's own template writes them, with every character known to be somebody's words or markup.

Stock templates mark nothing. So a conversation is rendered twice, once with placeholders instead of what is said: what
stands between them is markup, and the two texts agree in it. Fine-tuning learns what the model itself writes: from
behind the generation prompt to the end of the assistant's turn.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simtool.corpora.corpus import Document, Segment, SegmentRole
from simtool.corpora.layouts import Messages, Turn, segments_in_role
from simtool.corpora.reading import Row
from simtool.corpora.sandbox import Sandbox, sandbox_of

PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")


@dataclass(frozen=True)
class ChatTemplate:
    """A template of a tokenizer or a file: `document(turns)` is a conversation as it writes it.

    tokens   bos_token and the like, which templates write
    """

    name: str
    text: str
    tokens: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, row: Row, render: Any) -> Document:
        """A row, as its layout reads it and the template writes it; plain text stays as it is."""
        if isinstance(render, Messages):
            return self.document(render.turns(row))
        document = render(row)
        turns = turns_of(document)
        return self.document(turns) if turns else document

    def identity(self) -> str:
        """8 hex digits of what it writes: the same under any name."""
        return hashlib.sha256(json.dumps([self.text, dict(self.tokens)]).encode()).hexdigest()[:8]

    def document(self, turns: Sequence[Turn]) -> Document:
        """A conversation, in segments: what is said in its role, all between as markup.

        Raises
        ------
        ValueError
            Where the template refuses it, leaves out what is said, or writes it in other words.
        """
        pieces = _Pieces()
        messages = [pieces.replaced(n, turn) for n, turn in enumerate(turns)]
        if not pieces.segments:
            return Document(())
        text, skeleton = self._render([turn.message for turn in turns], messages)
        parts = PLACEHOLDER.split(skeleton)
        markups, numbers = parts[::2], [*map(int, parts[1::2])]
        self._check_all_there(pieces, numbers)
        contents = self._contents(text, markups, [pieces.segments[number] for number in numbers])
        owners = [pieces.owners[number] for number in numbers]
        learnt = [turn.role == "assistant" and turn.is_learnt for turn in turns]
        segments = self._markup(markups[0], None, owners[0], learnt) if owners else [Segment("markup", text, False)]
        for n, content in enumerate(contents):
            after = owners[n + 1] if n + 1 < len(owners) else None
            segments += [content, *self._markup(markups[n + 1], owners[n], after, learnt)]
        return Document(tuple(segment for segment in segments if segment.text))

    def _check_all_there(self, pieces: "_Pieces", numbers: Sequence[int]) -> None:
        """Earlier reasoning may be left out, as models do not see it again; nothing else."""
        for number in sorted(set(range(len(pieces.segments))) - set(numbers)):
            if pieces.segments[number].role != "reasoning":
                raise ValueError(f"the chat template {self.name} leaves out {self._shown(pieces.segments[number])}")

    def _shown(self, segment: Segment) -> str:
        text = segment.text if len(segment.text) <= 40 else segment.text[:40] + "…"
        return f"what the {segment.role} says ({text!r})"

    def _contents(self, text: str, markups: Sequence[str], sources: Sequence[Segment]) -> list[Segment]:
        """What is said, as it stands in the text: trimmed by some templates, escaped in JSON."""
        at, contents = len(markups[0]), []
        for n, (segment, markup) in enumerate(zip(sources, markups[1:], strict=True), 1):
            is_last = n == len(sources)
            for form in _forms(segment.text):
                end = at + len(form)
                fits = text[end:] == markup if is_last else text.startswith(markup, end)
                if fits and text.startswith(form, at):
                    break
            else:
                raise ValueError(
                    f"{self._shown(segment)} cannot be found in what the chat template {self.name} writes, so it"
                    " cannot be masked"
                )
            contents.append(segment._replace(text=form))
            at = end + len(markup)
        return contents

    def _markup(self, markup: str, before: int | None, after: int | None, learnt: Sequence[bool]) -> list[Segment]:
        """What stands between two contents, by turn: learnt is the end of an assistant's turn, and what it begins
        one with behind the generation prompt."""
        if before is not None and before == after:
            return [Segment("markup", markup, learnt[before])]
        prompt, closing = self._marks
        end = begin = 0
        if before is not None and learnt[before] and closing:
            end = markup.find(closing) + len(closing) if closing in markup else 0
        if after is not None and learnt[after]:
            begin = markup.rfind(prompt, end) + len(prompt) if prompt and prompt in markup[end:] else len(markup)
        else:
            begin = len(markup)
        parts = (markup[:end], True), (markup[end:begin], False), (markup[begin:], True)
        return [Segment("markup", part, counted) for part, counted in parts]

    @cached_property
    def _marks(self) -> tuple[str, str]:
        """What the template writes for a model to answer, and what ends its answer; "" where that is not seen."""
        question, answer = (
            {"role": "user", "content": "\ue0000\ue001"},
            {"role": "assistant", "content": "\ue0001\ue001"},
        )
        try:
            before, prompted, answered = self._sandbox.render(
                [
                    self._variables([question]),
                    self._variables([question]) | {"add_generation_prompt": True},
                    self._variables([question, answer]),
                ]
            )
        except ValueError:
            return "", ""
        prompt = prompted.removeprefix(before) if prompted.startswith(before) else ""
        return prompt, answered.rpartition("\ue0001\ue001")[2].rstrip()

    def _render(self, *conversations: Sequence[Mapping[str, Any]]) -> list[str]:
        return self._sandbox.render([self._variables(messages) for messages in conversations])

    def _variables(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": False, **self.tokens}

    @property
    def _sandbox(self) -> Sandbox:
        return sandbox_of(self.name, self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return ChatTemplate, (self.name, self.text, self.tokens)


class _Pieces:
    """What is said in a conversation, numbered, and the messages with placeholders instead.

    segments   what each placeholder stands for
    owners     whose turn it is in
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.owners: list[int] = []

    def replaced(self, owner: int, turn: Turn) -> dict[str, Any]:
        """The message of a turn, with placeholders."""
        message = dict(turn.message)
        if isinstance(message.get("content"), str):
            segments = segments_in_role(turn.role, message["content"], turn.is_learnt)
            # the tags of reasoning stay, as templates look for them
            message["content"] = "".join(
                segment.text if segment.role == "template" else self._placeholder(owner, segment)
                for segment in segments
            )
        if thoughts := message.get("reasoning_content"):
            message["reasoning_content"] = self._placeholder(owner, Segment("reasoning", thoughts, turn.is_learnt))
        if calls := message.get("tool_calls"):
            message["tool_calls"] = self._in_values(owner, calls, Segment(turn.role, "", turn.is_learnt))
        return message

    def _placeholder(self, owner: int, segment: Segment) -> str:
        self.segments.append(segment)
        self.owners.append(owner)
        return f"\ue000{len(self.segments) - 1}\ue001"

    def _in_values(self, owner: int, value: Any, segment: Segment, key: str = "") -> Any:
        """A call of a tool, with placeholders for its name and arguments."""
        if isinstance(value, list):
            return [self._in_values(owner, item, segment, key) for item in value]
        if isinstance(value, dict):
            return {name: self._in_values(owner, item, segment, name) for name, item in value.items()}
        is_said = isinstance(value, str) and value and key not in ("id", "type")
        return self._placeholder(owner, segment._replace(text=value)) if is_said else value


def _forms(text: str) -> list[str]:
    """A text as templates write it."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return list(dict.fromkeys([text, text.strip(), text.strip("\n"), text.lstrip(), text.rstrip(), escaped]))


def turns_of(document: Document) -> list[Turn]:
    """The turns of a document that has been put together: what is masked between them falls away."""
    turns: list[Turn] = []
    gathered: list[Segment] = []

    def close() -> None:
        text = "".join(segment.text for segment in gathered)
        if text.strip():
            role: SegmentRole = gathered[0].role if gathered[0].role in ("user", "system", "tool") else "assistant"
            turns.append(Turn(role, {"role": role, "content": text}, gathered[0].counted or role != "assistant"))
        gathered.clear()

    if all(segment.role in ("text", "template") for segment in document.segments):
        return []
    for segment in document.segments:
        is_separator = segment.role == "template" and not segment.counted
        changes = gathered and _speaker(gathered[-1]) != _speaker(segment)
        if is_separator or changes:
            close()
        if not is_separator:
            gathered.append(segment)
    close()
    return turns


def _speaker(segment: Segment) -> str:
    return "assistant" if segment.role in ("assistant", "reasoning", "template", "text") else segment.role
