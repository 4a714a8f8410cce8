"""How a row becomes a document: plain text, prompt and response, chat messages, the chosen one of two answers.

Which of them a corpus has is read off a sample of its rows, or said by the names of its fields. To add a layout,
write its class (fields of a row -> `Document`) and the function that recognises it, and name that in `RECOGNIZED`.

Without a chat template, what is said is put one turn a line; the line breaks between are masked in SFT on responses.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from simtool.corpora.corpus import Document, Segment, SegmentRole, plain_text, prompt_and_response
from simtool.corpora.reading import Row
from simtool.errors import SimtoolError
from simtool.integrity import parse_json

PLAIN = ("text", "content", "raw_content", "body", "code")
PROMPTS = ("prompt", "question", "instruction", "query", "problem", "inputs", "input", "context")
RESPONSES = (
    "completion", "response", "answer", "output", "targets", "target", "solution", "generated_solution", "reply",
)  # fmt: skip
CHATS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns")
ROLE_OF: dict[str, SegmentRole] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "ai"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), "tool"),
}
PASSED_ON = ("name", "reasoning_content", "tool_calls", "tool_call_id")  # to chat templates, as they are
PROSE = 40  # characters: a longer value may be the text of a row
THINKING = re.compile(r"(<think>\s*)(.*?)(\s*</think>\s*)", re.DOTALL)
ARROW = "->"  # "question->answer": what stands before it is the prompt


class Layout(Protocol):
    """How rows are read.

    columns      the fields that are needed
    has_prompt   whether SFT on responses masks a part of it
    """

    has_prompt: bool

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, row: Row) -> Document: ...

    def describe(self, rows: Sequence[Row]) -> str:
        """What a table's provenance says of it, from a sample of rows; "" for plain text in the field `text`."""
        ...


# ---- the layouts -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextFields:
    """Plain text in one field, or in several ("question,answer"), one a line. A path goes into objects: "meta.text"."""

    names: str = "text"
    has_prompt = False

    @property
    def columns(self) -> tuple[str, ...]:
        return columns_of(self.names.split(","))

    def __call__(self, row: Row) -> Document:
        if type(text := row.get(self.names)) is str:  # nearly always
            return plain_text(text)
        parts = [text_at(row, name) for name in self.names.split(",")]
        return plain_text("\n".join(part for part in parts if part))

    def describe(self, rows: Sequence[Row]) -> str:
        names = self.names.split(",")
        return "" if names == ["text"] else f"field{'s' if len(names) > 1 else ''} {', '.join(names)}"


@dataclass(frozen=True)
class PromptResponse:
    """A prompt in one field or several, one a line, and a response. Only the response must be there."""

    prompts: tuple[str, ...]
    response: str
    has_prompt = True

    @property
    def columns(self) -> tuple[str, ...]:
        return columns_of([*self.prompts, self.response])

    def __call__(self, row: Row) -> Document:
        prompts = [text_at(row, name, optional=n > 0) for n, name in enumerate(self.prompts)]
        response = value_at(row, self.response)
        if isinstance(response, list) and response and isinstance(response[0], str):
            response = response[0]  # several right answers
        prompt, response = "\n".join(filter(None, prompts)), as_text(response, self.response)
        return prompt_and_response(prompt, response, "\n" if prompt else "") if response else Document(())

    def describe(self, rows: Sequence[Row]) -> str:
        return f"prompt and response ({', '.join(self.prompts)} {ARROW} {self.response})"


@dataclass(frozen=True)
class Turn:
    """A turn of a chat.

    message     as chat templates take it: role, content, and reasoning_content, tool_calls and the like
    is_learnt   whether SFT on responses learns it, where it is the assistant's
    """

    role: SegmentRole
    message: dict[str, Any]
    is_learnt: bool = True


@dataclass(frozen=True)
class Messages:
    """A chat: a list of {role, content} or {from, value}, of texts in turn, or any of them as a string of JSON.

    SFT on responses learns every turn of the assistant, with its reasoning and its calls of tools.
    """

    field: str = "messages"
    has_prompt = True

    @property
    def columns(self) -> tuple[str, ...]:
        return columns_of([self.field])

    def __call__(self, row: Row) -> Document:
        turns = [segments for turn in enumerate(self._turns(row)) if (segments := _segments_of(*turn))]
        return Document(tuple(_on_lines(turns)))

    def _turns(self, row: Row) -> list[Any]:
        turns = value_at(row, self.field)
        if isinstance(turns, str):
            turns = parse_json(turns)
        if not isinstance(turns, list):
            raise TypeError(f"field {self.field!r} holds {type(turns).__name__}, not a list of messages")
        return turns

    def turns(self, row: Row) -> list[Turn]:
        """The turns as a chat template takes them; empty ones are left out."""
        return [turn for number, item in enumerate(self._turns(row)) if (turn := _turn_of(number, item))]

    def describe(self, rows: Sequence[Row]) -> str:
        numbers = []
        for row in rows:
            with suppress(ValueError, TypeError, KeyError):  # what is wrong with a row is said when it is read
                numbers += [len(self._turns(row))] if row.get(self.columns[0]) else []
        mean = sum(numbers) / max(len(numbers), 1)
        return f"{self.field}, {mean:.2g} turn{'' if mean == 1 else 's'} on average"


def _segments_of(n: int, turn: Any) -> list[Segment]:
    """The segments of one turn; a text without a role is the user's and the assistant's in turn."""
    if isinstance(turn, str):
        return segments_in_role("user" if n % 2 == 0 else "assistant", turn, True)
    role, is_learnt = _role_of(turn), _is_learnt(turn)
    segments = segments_in_role(role, _content_of(turn), is_learnt)
    if thoughts := _reasoning_of(turn):
        segments = [Segment("reasoning", thoughts, is_learnt), *_after_break(segments, is_learnt)]
    if calls := turn.get("tool_calls"):
        text = calls if isinstance(calls, str) else json.dumps(calls, ensure_ascii=False)
        segments += _after_break([Segment(role, text, role == "assistant" and is_learnt)], is_learnt, bool(segments))
    return segments


def _turn_of(number: int, item: Any) -> Turn | None:
    if isinstance(item, str):
        role: SegmentRole = "user" if number % 2 == 0 else "assistant"
        return Turn(role, {"role": role, "content": item}) if item else None
    role, content, calls = _role_of(item), _content_of(item), item.get("tool_calls")
    thoughts = _reasoning_of(item)
    if not (content or calls or thoughts):
        return None
    message = {name: value for name, value in item.items() if name in PASSED_ON and value is not None}
    if thoughts:
        message["reasoning_content"] = thoughts
    if isinstance(calls, str):
        message["tool_calls"] = parse_json(calls)
    return Turn(role, {"role": role, "content": content, **message}, _is_learnt(item))


def _role_of(turn: Row) -> SegmentRole:
    name = str(turn.get("role") or turn.get("from") or "")
    role = ROLE_OF.get(name.lower())
    if role is None:
        raise ValueError(f"a message has the role {name!r}, not one of {', '.join(ROLE_OF)}")
    return role


def _is_learnt(turn: Row) -> bool:
    return turn.get("train", turn.get("weight", True)) not in (False, 0)


def _content_of(turn: Row) -> str:
    return as_text(turn.get("content") if "content" in turn else turn.get("value"), "content")


def _reasoning_of(turn: Row) -> str:
    return as_text(turn.get("reasoning_content"), "reasoning_content")


def segments_in_role(role: SegmentRole, text: str, is_learnt: bool) -> list[Segment]:
    """A turn's text; in the assistant's, what lies between <think> and </think> is reasoning."""
    if role != "assistant":
        return [Segment(role, text, False)] if text else []
    segments, start = [], 0
    for match in THINKING.finditer(text):
        segments.append(Segment(role, text[start : match.start()], is_learnt))
        segments.append(Segment("template", match[1], is_learnt))
        segments.append(Segment("reasoning", match[2], is_learnt))
        segments.append(Segment("template", match[3], is_learnt))
        start = match.end()
    segments.append(Segment(role, text[start:], is_learnt))
    return [segment for segment in segments if segment.text]


def _after_break(segments: list[Segment], is_learnt: bool, is_needed: bool = True) -> list[Segment]:
    return [Segment("template", "\n", is_learnt), *segments] if segments and is_needed else segments


def _on_lines(turns: list[list[Segment]]) -> list[Segment]:
    """All turns, with a masked line break between two."""
    joined: list[Segment] = []
    for segments in turns:
        if joined:
            joined.append(Segment("template", "\n", False))
        joined += segments
    return joined


# ---- fields ----------------------------------------------------------------------------------------------


def columns_of(paths: Sequence[str]) -> tuple[str, ...]:
    """The fields of a row that paths begin in, and the paths themselves, as a name may hold a dot."""
    return tuple(dict.fromkeys(name for path in paths for name in (path.strip(), path.strip().split(".")[0])))


def value_at(row: Row, path: str) -> Any:
    """The value at "answer.value"; in a list of objects, each one's.

    Raises
    ------
    KeyError
        Where there is none.
    """
    path = path.strip()
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        if isinstance(value, list):
            value = [item[name] for item in value if isinstance(item, dict) and name in item]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise KeyError(path)
    return value


def text_at(row: Row, path: str, optional: bool = False) -> str:
    """The text at a path; "" where it is null, or may be missing and is."""
    try:
        return as_text(value_at(row, path), path.strip())
    except KeyError:
        if optional:
            return ""
        raise


def as_text(value: Any, name: str) -> str:
    """A value as text: a list has one text a line, null is none.

    Raises
    ------
    TypeError
        Where it is no text.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return "\n".join(filter(None, (_item_text(item, name) for item in value)))
    raise TypeError(f"field {name!r} holds {type(value).__name__}, not text")


def _item_text(item: Any, name: str) -> str:
    """Of a list: a text, or {"type": "text", "text": ...}; an image or a sound has none."""
    if isinstance(item, dict):
        if "text" in item:
            return as_text(item["text"], name)
        if item.get("type") in ("image", "image_url", "audio", "video", "input_audio", "file"):
            return ""
        raise TypeError(f"field {name!r} holds a list of objects with {', '.join(map(str, item))}, not of texts")
    return as_text(item, name)


# ---- which layout ----------------------------------------------------------------------------------------


def find_layout(rows: Sequence[Row], fields: str | None, where: str) -> Layout:
    """The layout of a corpus.

    Parameters
    ----------
    rows
        A sample of it.
    fields
        What the user names: "body", "meta.text", "title,body" (one a line), "question->answer", "messages"; None:
        read off the rows.
    where
        What the corpus is called in messages.

    Raises
    ------
    SimtoolError
        Where a named field is in no row, or several layouts fit, or none does.
    """
    if fields is not None:
        return _named_layout(rows, fields, where)
    if not rows:
        return TextFields()
    fitting = [layout for recognize in RECOGNIZED if (layout := recognize(rows)) is not None]
    if len(fitting) == 1:
        return fitting[0]
    problem = "could be read in several ways" if fitting else "has no field that is known to hold text"
    shown = [layout.describe(rows) or "field text" for layout in fitting]
    ways = f" ({'; '.join(shown)})" if fitting else ""
    raise SimtoolError(
        f"{where} {problem}{ways}. It has: {', '.join(map(str, _names(rows)))}.\n"
        f"Name what is meant: PATH#FIELD, PATH#PROMPT->RESPONSE; here perhaps {_guesses(rows)}."
    )


def fields_looked_at(fields: str | None) -> tuple[str, ...]:
    """The fields whose values `find_layout` may look at, where it succeeds."""
    if fields is None:
        return (*PLAIN, *PROMPTS, *RESPONSES, *CHATS, "chosen", "rejected")
    return columns_of(fields.replace(ARROW, ",").split(","))


def _named_layout(rows: Sequence[Row], fields: str, where: str) -> Layout:
    before, arrow, response = (part.strip() for part in fields.partition(ARROW))
    names = [name.strip() for name in (before.split(",") if arrow else fields.split(","))]
    for name in [*names, response] if arrow else names:
        if rows and not any(_has(row, name) for row in rows):
            raise SimtoolError(
                f"{where} has no field {name!r}. It has: {', '.join(map(str, _names(rows)))}.\n"
                "Name the one that holds the text: PATH#FIELD."
            )
    if arrow:
        return PromptResponse(tuple(names), response)
    if len(names) == 1 and _is_chat(rows, names[0]):
        return Messages(names[0])
    if len(names) > 1 and set(names[:-1]) <= set(PROMPTS) and names[-1].split(".")[0] in RESPONSES:
        return PromptResponse(tuple(names[:-1]), names[-1])
    return TextFields(",".join(names))


def _plain(rows: Sequence[Row]) -> Layout | None:
    names = _names(rows)
    name = next((name for name in PLAIN if name in names and _holds_text(rows, name)), None)
    if name is None and len(names) == 1 and _holds_text(rows, names[0]):
        name = names[0]
    return TextFields(name) if name and not _is_chat(rows, name) else None


def _pair(rows: Sequence[Row]) -> Layout | None:
    names = _names(rows)
    prompt = next((name for name in PROMPTS if name in names and _holds_text(rows, name)), None)
    response = next((name for name in RESPONSES if name in names and name != prompt), None)
    if prompt is None or response is None:
        return None
    value = _first_value(rows, response)
    if isinstance(value, dict):
        inside = next((name for name in ("value", "text", "content") if isinstance(value.get(name), str)), None)
        if inside is None:
            return None
        response = f"{response}.{inside}"
    elif not isinstance(value, str | list):
        return None
    more = ("input",) if prompt == "instruction" and "input" in names else ()
    return PromptResponse((prompt, *more), response)


def _chat(rows: Sequence[Row]) -> Layout | None:
    name = next((name for name in CHATS if _is_chat(rows, name)), None)
    return Messages(name) if name else None


def _preference(rows: Sequence[Row]) -> Layout | None:
    """The answer that was preferred; `#rejected` names the other."""
    names = _names(rows)
    if "chosen" not in names or "rejected" not in names:
        return None
    if _is_chat(rows, "chosen"):
        return Messages("chosen")
    prompt = next((name for name in PROMPTS if name in names and _holds_text(rows, name)), None)
    return PromptResponse((prompt,), "chosen") if prompt else TextFields("chosen")


RECOGNIZED: tuple[Callable[[Sequence[Row]], Layout | None], ...] = (_plain, _pair, _chat, _preference)


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _first_value(rows: Sequence[Row], name: str) -> Any:
    return next((row[name] for row in rows if row.get(name) is not None), None)


def _holds_text(rows: Sequence[Row], name: str) -> bool:
    return isinstance(_first_value(rows, name), str | bytes)


def _has(row: Row, path: str) -> bool:
    try:
        value_at(row, path)
    except KeyError:
        return False
    return True


def _is_chat(rows: Sequence[Row], name: str) -> bool:
    """Whether a field holds lists of messages (or a string of JSON with one)."""
    value = next((value_at(row, name) for row in rows if _has(row, name) and value_at(row, name)), None)
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = parse_json(value)
        except ValueError:
            return False
    if not isinstance(value, list) or not value:
        return False
    if isinstance(value[0], dict):
        return bool({"role", "from"} & set(value[0]))
    return name in CHATS and isinstance(value[0], str)


def _guesses(rows: Sequence[Row]) -> str:
    """The two fields with the longest texts, where both are prose: what is most likely meant."""
    lengths = {name: len(value) for name in _names(rows) if isinstance(value := _first_value(rows, name), str)}
    longest = sorted(lengths, key=lambda name: -lengths[name])[:2]
    likely = [name for name in longest if name == longest[0] or lengths[name] >= PROSE]
    return " or ".join(f"PATH#{name}" for name in likely or ["FIELD"])
