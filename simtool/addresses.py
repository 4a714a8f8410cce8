"""Where text lies, without what nobody else may see: passwords, signatures and tokens of URLs, the home folder.

What a user types becomes a name by `public_name`, so that no secret is in anything that is shown or written. The whole
address is remembered in this process, and opens the text.
"""

import re
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from simtool.errors import SimtoolError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^#\s\"'<>]*")
SHARE = re.compile(r":\d*\.?\d+(?:[eE][+-]?\d+)?$")
BEHIND = re.compile(rf"(\[[a-z]+\])?(@[A-Za-z][\w.-]*)?({SHARE.pattern[:-1]})?$")  # [VIEW], @SPLIT, :SHARE of a name
WITH_USERS = ("http", "https", "ftp", "sftp", "webdav")  # in abfs://container@account no user is named
# what a query may say that tells texts apart and lets nobody in; all else of it is left out
PLAIN = {"id", "page", "part", "file", "filename", "name", "format", "split", "config", "version", "revision"}
SIGNED = re.compile(
    r"x-(amz|goog|ms|oss)-.*|.*(sig|token|key|secret|credential|auth|pass|policy|expire|access).*|s[a-z]{1,2}", re.I
)  # s[a-z]: sv, se, sp, sr ... of Azure
_whole: dict[str, str] = {}  # what opens an address, by how it is shown


def public_name(text: str) -> str:
    """What a user typed, a corpus or a mixture, as a name without secrets; what opens it is remembered."""
    parts = text.split("+")
    parts = parts if all(SHARE.search(part) for part in parts) else [text]
    return "+".join(URL.sub(partial(_shown, remembered=True), part) if "://" in part else part for part in parts)


def without_secrets(text: str) -> str:
    """A text, such as a message, whose URLs have no user, password, signature or token."""
    return URL.sub(_shown, text) if "://" in text else text


def without_home(text: str) -> str:
    """A text whose paths in the home folder begin with ~."""
    home = str(Path.home())
    return text if home == "/" else re.sub(rf"(?<![\w/.~-]){re.escape(home)}(?![\w.-])", "~", text)


def opening(address: str) -> str:
    """The address that opens a text, of how it is shown."""
    return _whole.get(address, address)


def _shown(match: re.Match[str], remembered: bool = False) -> str:
    behind = _behind(match[0])
    whole = match[0].removesuffix(behind)
    front, _, query = whole.partition("?")
    scheme, _, rest = front.partition("://")
    host, slash, path = rest.partition("/")
    user, _, server = host.rpartition("@")
    if ":" in user or scheme.lower() in WITH_USERS:
        host = server
    plain = urlencode([(name, value) for name, value in _pairs(query) if name.lower() in PLAIN], safe="/:,")
    address = f"{scheme}://{host}{slash}{path}" + (f"?{plain}" if plain else "")
    if remembered:
        _remember(address, whole)
    return address + behind


def _behind(text: str) -> str:
    """What of a name stands behind its address."""
    match = BEHIND.search(text)
    return match[0] if match else ""


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _remember(address: str, whole: str) -> None:
    """What opens an address. A new signature takes the place of an older one; another text does not."""
    if address == whole:
        return
    before = _whole.setdefault(address, whole)
    if _unsigned(before) != _unsigned(whole):
        raise SimtoolError(
            f"Two addresses differ only in what is not shown of them: {address}.\n"
            "Give each a name in a corpora file (simtool.toml)."
        )
    _whole[address] = whole


def _unsigned(whole: str) -> list[tuple[str, str]]:
    """What the query of an address says beside its signature."""
    return [(name, value) for name, value in _pairs(whole.partition("?")[2]) if not SIGNED.fullmatch(name)]
