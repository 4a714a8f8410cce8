"""Own corpora by name, from a corpora file: `simtool.toml` in the working folder, or the one that --corpora names.

    [corpora.tickets]
    path = "exports/tickets.csv"            # a file, folder, glob or URL, as seen from this file; or a hub id
    fields = "subject,body"                 # as in FILE#FIELDS; read off the rows by default
    filter = 'lang == "en" and stars > 3'   # rows that are read
    chat_template = "qwen3"                 # a tokenizer's or a file's, for a corpus of chats or prompts
    encoding = "latin-1"                    # of text that is not UTF-8, in any format
    delimiter = ";"                         # and quote: of a table, where they are not detected from it

A name is used like one of the catalogue: in mixtures, studies and reports. To add a setting, add a field to `Entry`.
"""

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import VIEWS, Role, SegmentRole
from simtool.corpora.delimited import Dialect
from simtool.corpora.layouts import columns_of, value_at
from simtool.corpora.reading import Row
from simtool.errors import SimtoolError, unknown

NAME = re.compile(r"[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Entry:
    """A corpus of the corpora file; what is None is read off the text, or left to the command."""

    path: str
    fields: str | None = None
    view: SegmentRole | None = None
    split: str | None = None
    filter: str | None = None
    chat_template: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    encoding: str | None = None
    train_on: Literal["response", "text"] | None = None
    role: Role = "specialised"
    title: str = ""
    about: str = "Your own corpus."
    licence: str = "yours"

    def __post_init__(self) -> None:
        allowed = {"view": (None, *VIEWS), "train_on": (None, "response", "text"), "role": get_args(Role)}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise unknown(name, str(getattr(self, name)), map(str, filter(None, values)))
        if self.filter is not None:
            RowFilter(self.filter)
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise SimtoolError(f"Unknown encoding {self.encoding!r}. Name one such as utf-16, latin-1 or cp1252.")

    @property
    def dialect(self) -> Dialect | None:
        """How a table of text is written, where the file says any of it."""
        named = {"delimiter": self.delimiter, "quote": self.quote}
        settings = {name: value for name, value in named.items() if value is not None}
        return Dialect(**settings) if settings else None


def _is_encoding(name: str) -> bool:
    try:
        "a".encode(name)  # refuses what is no encoding of text, such as rot13
    except (LookupError, ValueError):
        return False
    return True


def load_entries(path: Path) -> dict[str, Entry]:
    """The corpora of a corpora file.

    Raises
    ------
    SimtoolError
        Where it cannot be read, with what is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SimtoolError(f"No corpora file {path}. Check the path.") from error
    except (OSError, ValueError) as error:
        raise SimtoolError(f"{path} cannot be read: {error}.") from error
    if others := [name for name in content if name != "corpora"]:
        raise SimtoolError(f"{path}: {others[0]!r} is nothing that is read. A corpus is a table [corpora.{others[0]}].")
    known = [field.name for field in fields(Entry)]
    entries = {}
    for name, settings in _tables(path, content.get("corpora", {})).items():
        if name in CATALOGUE or not NAME.fullmatch(name):
            problem = "is a corpus of the catalogue" if name in CATALOGUE else "is no name (letters, digits, _ and -)"
            raise SimtoolError(f"{path}: {name!r} {problem}. Choose another.")
        if wrong := [setting for setting in settings if setting not in known]:
            raise SimtoolError(f"{path}: {name}: {unknown('setting', wrong[0], known)}")
        if "path" not in settings:
            raise SimtoolError(f'{path}: {name} has no path. Say where its text is: path = "FILE".')
        located = {"path": _as_seen_from(path.parent, settings["path"])}
        if (path.parent / (template := settings.get("chat_template", ""))).is_file():
            located["chat_template"] = str(path.parent / template)
        entries[name] = Entry(**settings | located)
    return entries


def _tables(path: Path, corpora: Any) -> dict[str, dict[str, str]]:
    """{name: settings}, all of them texts, of what a corpora file has under `corpora`."""
    tables = corpora.items() if isinstance(corpora, dict) else [("corpora", corpora)]
    for name, settings in tables:
        values = settings.values() if isinstance(settings, dict) else [settings]
        if not isinstance(settings, dict) or not all(isinstance(value, str) for value in values):
            raise SimtoolError(
                f'{path}: {name} is {str(settings)[:80]}. A corpus is a table [corpora.NAME] of texts: path = "FILE".'
            )
    return corpora


def with_entry(path: Path, name: str, settings: Mapping[str, str]) -> str:
    """The text of a corpora file, new or not, with one more entry.

    Raises
    ------
    SimtoolError
        Where the name is taken.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not NAME.fullmatch(name) or name in CATALOGUE:
        raise SimtoolError(f"{name!r} is taken, or no name (letters, digits, _ and -). Choose another.")
    if path.exists() and name in load_entries(path):
        raise SimtoolError(f"{path} has a corpus {name!r} already. Choose another name, or edit it there.")
    lines = [f"[corpora.{name}]", *(f"{setting} = {_quoted(value)}" for setting, value in settings.items())]
    return text + ("\n" if text else "") + "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """As a string of TOML."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _as_seen_from(folder: Path, path: str) -> str:
    """A path that the file gives, as seen from the working folder; URLs and hub ids as they are."""
    if "://" in path or Path(path).is_absolute() or path.startswith("~"):
        return path
    inside = folder / path
    is_hub_id = path.count("/") == 1 and not path.startswith(".") and not inside.exists() and not Path(path).suffix
    return path if is_hub_id or path in CATALOGUE else str(inside)


# ---- filters ---------------------------------------------------------------------------------------------

DEEPEST_FILTER = 100  # Python follows some 1,000
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: _holds(b, a),
    ast.NotIn: lambda a, b: not _holds(b, a),
}


def _holds(whole: Any, part: Any) -> bool:
    return part in whole if isinstance(whole, str) else any(operator.eq(*_as_numbers(part, item)) for item in whole)


def _as_numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """A text beside a number is the number that it says, since CSV has no others."""
    if isinstance(a, str) and isinstance(b, int | float):
        return _number(a), b
    if isinstance(b, str) and isinstance(a, int | float):
        return a, _number(b)
    return a, b


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class RowFilter:
    """Which rows are read: fields, constants and lists of them, ==, <, in ..., and, or, not. Nothing is executed.

    A field that a row lacks is None, and what cannot be compared does not match. Beside a number, a text (of CSV) is
    the number that it says.
    """

    text: str

    def __post_init__(self) -> None:
        self._check(self._tree)

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # of NUL; of a thousand brackets
            raise self._wrong(str(getattr(error, "msg", error))) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return RowFilter, (self.text,)

    @property
    def columns(self) -> tuple[str, ...]:
        paths = [path for node in ast.walk(self._tree) if (path := _path_of(node))]
        return columns_of(paths)

    def __call__(self, row: Row) -> bool:
        try:
            return bool(_value(self._tree, row))
        except TypeError:
            return False

    def _check(self, node: ast.AST) -> None:
        allowed = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Name, ast.Attribute,
                   ast.Constant, ast.List, ast.Tuple, ast.Load, *COMPARISONS)  # fmt: skip
        for part in ast.walk(node):
            if not isinstance(part, allowed):
                raise self._wrong(f"{type(part).__name__} is not known")
        if _depth(node) > DEEPEST_FILTER:
            raise self._wrong(f"it is nested more than {DEEPEST_FILTER} deep")

    def _wrong(self, reason: str) -> SimtoolError:
        return SimtoolError(
            f"The filter {self.text!r} cannot be read: {reason}.\n"
            "Write fields, constants, ==, !=, <, >, in, and, or, not: 'source == \"web\" and stars > 3'."
        )


def _depth(node: ast.AST) -> int:
    """How deep a tree is; without recursion, which ends before a parser does (3.13: 5,000 times "not")."""
    level, depth = [node], 0
    while level:
        level, depth = [child for parent in level for child in ast.iter_child_nodes(parent)], depth + 1
    return depth


def _path_of(node: ast.AST) -> str | None:
    """The field that a name or a dotted name stands for."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _path_of(node.value)):
        return f"{before}.{node.attr}"
    return None


def _value(node: ast.AST, row: Row) -> Any:
    if isinstance(node, ast.BoolOp):
        parts = (_value(part, row) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, row)
        return not value if isinstance(node.op, ast.Not) else -value
    if isinstance(node, ast.Compare):
        values = [_value(part, row) for part in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(COMPARISONS[type(sign)](*_as_numbers(a, b)) for sign, a, b in pairs)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, row) for item in node.elts]
    if isinstance(node, ast.Constant):
        return node.value
    try:
        return value_at(row, _path_of(node) or "")
    except KeyError:
        return None
