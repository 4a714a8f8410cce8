"""Where the file of a tokenizer lies: on this machine, in the hub's cache, or at the hub, from where it is fetched.

In a folder it is tokenizer.json; else what `transformers` puts together by its tokenizer_config.json; else a
SentencePiece model or tiktoken ranks.
"""

from pathlib import Path

from simtool.errors import SimtoolError, unknown
from simtool.tokens.catalogue import ALIASES, EMBEDDED, EMBEDDED_FILES, EMBEDDED_FOLDER, TOKENIZERS, TokenizerEntry
from simtool.tokens.definitions import CONFIG

SECONDS_TO_ANSWER = 5  # the hub's own retries take 24 s to say that there is no network
JSON = "tokenizer.json"
VOCABULARIES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt")
BESIDE = ("merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", CONFIG, "config.json")


def find_tokenizer_file(name: str, data_dir: Path | None = None) -> Path | None:
    """Where the file of a name, path, folder or hub id lies on this machine: the data folder, then the
    hub's cache. None when only the hub can have it."""
    name = ALIASES.get(name, name)
    if name in EMBEDDED_FILES:
        return EMBEDDED_FOLDER / EMBEDDED_FILES[name]
    if name in TOKENIZERS:
        entry = TOKENIZERS[name]
        known = data_dir / "tokenizers" / entry.file if data_dir and entry.file else None
        return known if known and known.is_file() else _cached(entry.hub)
    path = Path(name).expanduser()
    if path.is_dir():
        return file_in_folder(path)
    if path.is_file():
        return path
    if path.suffix in (".json", ".model", ".tiktoken") or path.is_absolute() or name.startswith((".", "~")):
        raise SimtoolError(f"No tokenizer.json at {name}.")
    if name.count("/") != 1:
        raise unknown("tokenizer", name, TOKENIZERS)
    return _cached(name)


def file_in_folder(folder: Path) -> Path:
    """The file that defines the tokenizer of a folder.

    Raises
    ------
    SimtoolError
        Where it has none, or several.
    """
    if (folder / JSON).is_file():
        return folder / JSON
    if (folder / CONFIG).is_file() and any((folder / name).is_file() for name in VOCABULARIES):
        return folder / CONFIG
    files = sorted([*folder.glob("*.model"), *folder.glob("*.tiktoken")])
    if len(files) == 1:
        return files[0]
    has = f"It has {', '.join(file.name for file in files)}: name one." if files else "Name the file itself."
    raise SimtoolError(f"{folder} has no {JSON}, no {CONFIG} with a vocabulary, and no single model file. {has}")


def _cached(repo: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        paths = (try_to_load_from_cache(repo, name) for name in (JSON, *VOCABULARIES))
        path = next((path for path in paths if isinstance(path, str)), None)
    except ValueError as error:  # not of the form that a hub id has
        raise unknown("tokenizer", repo, TOKENIZERS) from error
    return None if path is None else Path(path) if Path(path).name == JSON else file_in_folder(Path(path).parent)


def fetch_tokenizer_file(name: str, data_dir: Path | None) -> Path:
    """From the hub (or HF_ENDPOINT) into its cache. The error lists every place that was tried."""
    entry = TOKENIZERS.get(name, TokenizerEntry("", hub=name))
    tried = []
    if entry.file:
        place = data_dir / "tokenizers" / entry.file if data_dir else "none given (--data DIR or SIMTOOL_DATA)"
        tried.append(f"data folder: {place}{': no such file' if data_dir else ''}")
    try:
        from huggingface_hub import constants
    except ImportError as error:
        tried.append(f"hub: needs the package {error.name!r} (python -m pip install huggingface_hub)")
    else:
        tried.append(f"cache: nothing of {entry.hub} in {constants.HF_HUB_CACHE}")
        try:
            return _download(entry.hub)
        except Exception as error:
            tried.append(f"hub: {entry.hub} at {constants.ENDPOINT}: {_reason(error)}")
    gate = f" {entry.hub} is gated: accept its terms there and log in with `hf auth login`." if entry.gated else ""
    raise SimtoolError(
        f"The tokenizer {name!r} cannot be had. Tried\n"
        + "".join(f"  {line}\n" for line in tried)
        + f"Name a tokenizer.json, or use --tokenizer {EMBEDDED}, which needs nothing.{gate}"
    )


def _download(repo: str | None) -> Path:
    """tokenizer.json, or what there is instead, with what says how it is used."""
    from huggingface_hub import HfApi, hf_hub_download

    # Asked first with a limit: the download itself would retry for long before it says no.
    info = HfApi().model_info(repo, timeout=SECONDS_TO_ANSWER)
    names = {sibling.rfilename for sibling in info.siblings or ()}
    has_json = JSON in names or not names & set(VOCABULARIES)
    vocabulary = (JSON,) if has_json else tuple(name for name in VOCABULARIES if name in names)
    paths = [Path(hf_hub_download(repo, name)) for name in (*vocabulary, *(name for name in BESIDE if name in names))]
    return paths[0] if has_json else file_in_folder(paths[0].parent)


def _reason(error: Exception) -> str:
    """What went wrong at the hub, in a few words."""
    reasons = {
        "GatedRepoError": "gated",
        "RepositoryNotFoundError": "no such repository, or not yours to read",
        "RemoteEntryNotFoundError": "it has no tokenizer.json",
        "LocalEntryNotFoundError": "not reachable",
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
    }
    kinds = [kind.__name__ for kind in type(error).__mro__]
    known = next((reasons[kind] for kind in kinds if kind in reasons), None)
    if known is None and any(kind in ("ConnectError", "TimeoutException", "ConnectionError") for kind in kinds):
        known = "not reachable"
    return known or f"{kinds[0]}: {str(error).splitlines()[0] if str(error) else ''}"
