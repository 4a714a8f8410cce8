"""Which chat template is meant: a file's, or that of a tokenizer, by any name that a tokenizer goes by."""

from pathlib import Path
from typing import Any

from simtool.corpora.chat import ChatTemplate
from simtool.corpora.sandbox import sandbox_of
from simtool.errors import SimtoolError
from simtool.integrity import parse_json
from simtool.tokens.catalogue import ALIASES
from simtool.tokens.definitions import CONFIG
from simtool.tokens.files import fetch_tokenizer_file, find_tokenizer_file

NONE = "none"
JINJA = "chat_template.jinja"
TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def load_chat_template(name: str | None) -> ChatTemplate | None:
    """The chat template of a file (Jinja, or a tokenizer_config.json) or a tokenizer; None for "none".

    It is checked that it can be read; nothing of it is executed outside of its sandbox.

    Raises
    ------
    SimtoolError
        Where there is none, or it is none.
    """
    if name is None or name == NONE:
        return None
    path = Path(name).expanduser()
    if path.is_file() and path.suffix != ".model" and path.name != "tokenizer.json":
        template = _of_file(path, name)
    else:
        template = _of_folder(_folder_of(ALIASES.get(name, name)), name)
    sandbox_of(template.name, template.text)
    return template


def _folder_of(name: str) -> Path:
    """Where a tokenizer lies with what belongs to it; a data folder holds tokenizers alone."""
    try:
        return (find_tokenizer_file(name) or fetch_tokenizer_file(name, None)).parent
    except SimtoolError as error:
        raise SimtoolError(f"--chat-template {name}: no such file, and as a tokenizer: {error}") from error


def _of_file(path: Path, name: str) -> ChatTemplate:
    if path.suffix == ".json":
        settings = _settings(path)
        return ChatTemplate(name, _text_of(settings, name), _tokens_of(settings))
    try:
        return ChatTemplate(name, path.read_text(encoding="utf-8"), _tokens_of(_settings(path.parent / CONFIG)))
    except (OSError, UnicodeDecodeError) as error:
        raise SimtoolError(f"The chat template {name} cannot be read: {error}.") from error


def _of_folder(folder: Path, name: str) -> ChatTemplate:
    """A file of its own comes before what the settings hold, as in `transformers`."""
    if (folder / JINJA).is_file():
        return _of_file(folder / JINJA, name)
    settings = _settings(folder / CONFIG)
    return ChatTemplate(name, _text_of(settings, name), _tokens_of(settings))


def _settings(path: Path) -> dict[str, Any]:
    """What a tokenizer_config.json holds; nothing where there is none."""
    if not path.exists():
        return {}
    try:
        settings = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimtoolError(f"{path} cannot be read: {error}.") from error
    return settings if isinstance(settings, dict) else {}


def _text_of(settings: dict[str, Any], name: str) -> str:
    """The template of a tokenizer_config.json: the one called "default" where it has several."""
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {item["name"]: item["template"] for item in template}
        template = named.get("default")
    if not isinstance(template, str):
        raise SimtoolError(
            f"{name} has no chat template: beside its tokenizer lies no {JINJA}, nor a {CONFIG} with a chat_template.\n"
            "Name the tokenizer of an instruction-tuned model, or a file: --chat-template FILE."
        )
    return template


def _tokens_of(settings: dict[str, Any]) -> dict[str, str]:
    """{bos_token: "<s>"} and the like."""
    tokens = {name: settings.get(name) for name in TOKENS}
    texts = {name: token.get("content") if isinstance(token, dict) else token for name, token in tokens.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}
