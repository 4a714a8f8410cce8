"""How a corpus is named: LOCATION#FIELDS[VIEW]@SPLIT, each part but the first left out where it is not needed.

    web.parquet            chat.jsonl#messages            chat.jsonl[assistant]          data/folder@test
    gsm8k[user]            qa.jsonl#question->answer      openai/gsm8k:main#question     s3://bucket/a.jsonl#body

A location is a name of the catalogue, a path, glob, pipe, URL or hub id. A file that has the whole text as its name
is that file, so any name stays possible; otherwise parts are read off the end as long as they look like parts.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import VIEWS, SegmentRole
from simtool.corpora.files import is_pipe
from simtool.corpora.formats import named_format
from simtool.errors import unknown

SPLIT_PART = re.compile(r"(?P<rest>.+)@(?P<part>[A-Za-z][\w.-]*)$", re.DOTALL)
VIEW_PART = re.compile(r"(?P<rest>.+)\[(?P<part>[a-z]+)\]$", re.DOTALL)
GLOB_SIGNS = "*?"


@dataclass(frozen=True)
class Spec:
    """A corpus as it is named.

    fields   what holds the text, as in `layouts.find_layout`
    view     the segments that are read: assistant, user, reasoning ...
    split    of a folder or a set of the hub
    """

    location: str
    fields: str | None = None
    view: SegmentRole | None = None
    split: str | None = None

    @property
    def is_path(self) -> bool:
        """Whether the location is a file, folder, glob, pipe or URL, there or not."""
        name = self.location
        if name in CATALOGUE:  # a folder that happens to be called c4 is ./c4
            return False
        if "://" in name or is_pipe(name) or any(sign in name for sign in GLOB_SIGNS) or named_format(name):
            return True
        return name.startswith((".", "/", "~")) or _exists(name)


def parse_spec(text: str) -> Spec:
    """The parts of a corpus's name.

    Raises
    ------
    SimtoolError
        Where its view is none.
    """
    if text in CATALOGUE or _exists(text):
        return Spec(text)
    location, split = _without(SPLIT_PART, text)
    location, view = _without(VIEW_PART, location)
    location, fields = _without_fields(location)
    if view is not None and view not in VIEWS:
        if fields is None and any(sign in text for sign in GLOB_SIGNS):
            return Spec(text)  # a glob that ends in a class of characters
        raise unknown("view", view, VIEWS)
    return Spec(location, fields, cast("SegmentRole | None", view), split)


def _without(pattern: re.Pattern[str], text: str) -> tuple[str, str | None]:
    """A text without a part at its end, and that part; the text itself where it has none or is a file."""
    match = None if _exists(text) else pattern.match(text)
    return (match["rest"], match["part"]) if match else (text, None)


def _without_fields(text: str) -> tuple[str, str | None]:
    """The last "#" behind something that is there begins the fields; else the last one."""
    if "#" not in text or _exists(text):
        return text, None
    cuts = [n for n, sign in enumerate(text) if sign == "#" and n]
    existing = [n for n in cuts if text[:n] in CATALOGUE or _exists(text[:n])]
    cut = (existing or cuts or [len(text)])[-1]
    return text[:cut], text[cut + 1 :] or None


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # longer than a name may be; no such user
        return False
