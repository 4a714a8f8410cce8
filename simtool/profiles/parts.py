"""Parts of a count: profiles in one folder, or under one URL, that say what they cover and add up to the whole.

A part covers runs of batches of pieces (`corpora.pieces`). Whoever counts, in whatever number, counts of its own pieces
what no part covers yet; so work goes on where it was, on as many machines as there then are, and nothing is counted
twice. A damaged part is as if it were not there.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from simtool.addresses import without_home, without_secrets
from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, parse_json, with_hash
from simtool.profiles.profile import Profile, load_profile, profile_facts, save_profile
from simtool.tables import atomic_write

MANIFEST = "manifest.json"
Run = tuple[int, int | None]  # batches of a piece: the first, and the one behind the last (None: to its end)
Runs = Mapping[str, list[Run]]  # by piece


@dataclass(frozen=True)
class Manifest:
    """What is counted in a folder of parts: the same for all who count there.

    version      of the source: changes when its files do
    batch_bytes  of text in a batch
    pieces       (name, bytes on disk) of each
    profile      the file name of the whole in the cache
    facts        of the whole: source, stand_in, skip_bad
    commits      of sets of the hub, which all who count there read
    """

    corpus: str
    version: str
    tokenizer: str
    fingerprint: str
    features: tuple[str, ...]
    batch_bytes: int
    pieces: tuple[tuple[str, int], ...]
    profile: str
    facts: Mapping[str, Any]
    commits: tuple[str, ...] = ()

    def as_json(self) -> str:
        return json.dumps(with_hash(asdict(self)), indent=1)

    @staticmethod
    def from_json(text: str) -> "Manifest":
        content = checked(parse_json(text), Manifest.__dataclass_fields__)
        pieces = tuple((name, n_bytes) for name, n_bytes in content["pieces"])
        names = {name: tuple(content.get(name, ())) for name in ("features", "commits")}
        return Manifest(**content | names | {"pieces": pieces})


@dataclass(frozen=True)
class PartsFolder:
    """A folder of parts: a local path, or a URL that fsspec writes to."""

    url: str

    @property
    def name(self) -> str:
        """What messages call it: without secrets of its URL."""
        return without_home(without_secrets(self.url))

    @property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            return url_to_fs(self.url)
        except (ImportError, ValueError, OSError) as error:
            reason = without_secrets(str(error))
            raise SimtoolError(
                f"Cannot open the folder of parts {self.name}: {reason}.\nName one that all tasks see: --parts URL."
            ) from error

    @property
    def local(self) -> Path | None:
        """Where it is on this machine; None of a URL."""
        if "://" not in self.url:
            return Path(self.url).expanduser()  # without fsspec, which takes 0.1 s to import
        system, root = self._place
        return Path(root) if "file" in _names_of(system.protocol) else None

    def names(self, suffix: str = ".parquet") -> list[str]:
        """The parts, in the order of their names."""
        return sorted(name for name in self._listing() if name.endswith(suffix) and not name.startswith("."))

    def _listing(self) -> list[str]:
        """The names of what lies in it; none where there is no such folder."""
        if (folder := self.local) is not None:
            return [path.name for path in folder.iterdir()] if folder.is_dir() else []
        system, root = self._place
        system.invalidate_cache()
        try:
            return [path.rstrip("/").rsplit("/", 1)[-1] for path in system.ls(root, detail=False)]
        except FileNotFoundError:
            return []

    def folders(self) -> list["PartsFolder"]:
        """Those below it that hold parts."""
        return [
            folder
            for name in self.names("")
            if (folder := PartsFolder(f"{self.url.rstrip('/')}/{name}")).manifest() is not None
        ]

    def manifest(self) -> Manifest | None:
        try:
            content = self._manifest_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        with damage_as_message(
            f"{self.name}/{MANIFEST}", "Remove the folder of parts and count again: nothing but time is lost."
        ):
            return Manifest.from_json(content.decode())

    def _manifest_bytes(self) -> bytes:
        if (folder := self.local) is not None:
            return (folder / MANIFEST).read_bytes()
        system, root = self._place
        return system.cat_file(f"{root}/{MANIFEST}")

    def save_manifest(self, manifest: Manifest) -> None:
        if (folder := self.local) is not None:
            with atomic_write(folder / MANIFEST) as temporary:
                temporary.write_text(manifest.as_json())
            return
        system, root = self._place
        system.makedirs(root, exist_ok=True)
        system.pipe_file(f"{root}/{MANIFEST}", manifest.as_json().encode())

    def save(self, profile: Profile, name: str) -> None:
        """Write a part, whole or not at all: in one move where files can be moved, in one request elsewhere."""
        if (folder := self.local) is not None:
            save_profile(profile, folder / name)
            return
        system, root = self._place
        with tempfile.TemporaryDirectory() as near:
            save_profile(profile, Path(near) / name)
            system.put_file(str(Path(near) / name), f"{root}/{name}")

    def load(self, name: str, features: Iterable[str]) -> Profile | None:
        """A part; None where it is not there or damaged."""
        try:
            with self._at_hand(name) as path:
                return load_profile(path, features)
        except (SimtoolError, FileNotFoundError):
            return None

    @contextmanager
    def _at_hand(self, name: str) -> Iterator[Path]:
        if (folder := self.local) is not None:
            yield folder / name
            return
        system, root = self._place
        with tempfile.TemporaryDirectory() as near:
            system.get_file(f"{root}/{name}", str(Path(near) / name))
            yield Path(near) / name

    def facts(self) -> dict[str, dict[str, Any]]:
        """What each part that is not damaged says of itself, without its counts."""
        facts = {}
        for name in self.names():
            try:
                with self._at_hand(name) as path:
                    facts[name] = profile_facts(path)["facts"]
            except (SimtoolError, FileNotFoundError):
                continue
        return facts

    def sweep(self) -> None:
        """Remove what writers that were killed left half written."""
        for leftover in self.local.glob(".*.parquet") if self.local else ():
            leftover.unlink(missing_ok=True)


def _names_of(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol


def runs_of(facts: Iterable[Mapping[str, Any]]) -> Runs:
    """What parts cover together, from their facts."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for part in facts:
        for piece, first, stop in part["covers"]:
            runs[piece].append((first, stop))
    return runs


def missing(runs: Iterable[Run]) -> list[Run]:
    """The batches of a piece that no run covers.

    Raises
    ------
    SimtoolError
        Where two runs cover the same batch.
    """
    place: int | None = 0
    gaps: list[Run] = []
    for first, stop in sorted(runs, key=lambda run: run[0]):
        if place is None or first < place:
            raise SimtoolError(
                "Two parts hold the same text: workers of different numbers ran at the same time.\n"
                "Remove the folder of parts and count again. All that run at one time have the same n in --part i/n."
            )
        if first > place:
            gaps.append((place, first))
        place = stop
    return gaps if place is None else [*gaps, (place, None)]


def whole_facts(folder: PartsFolder, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """What the parts say of themselves, by name.

    Raises
    ------
    SimtoolError
        Where they do not hold all of the corpus, or some of it twice, or are of files that changed meanwhile.
    """
    facts = folder.facts()
    if others := [name for name, part in facts.items() if part.get("version") != manifest.version]:
        raise SimtoolError(
            f"{manifest.corpus}: {', '.join(others)} in {folder.name} hold counts of another version of its files.\n"
            "Remove these parts, and count what is lacking again: simtool profile --part i/n --parts."
        )
    runs = runs_of(facts.values())
    lacking = [name for name, _ in manifest.pieces if missing(runs.get(name, []))]
    if lacking:
        raise SimtoolError(
            f"{manifest.corpus}: {len(lacking)} of {len(manifest.pieces)} pieces are not counted yet ({lacking[0]}"
            f"{', ...' if len(lacking) > 1 else ''}).\nRun `simtool profile --part i/n --parts` for each i from 0 to"
            " n - 1, with any n, then merge again."
        )
    return facts


def sum_of(folder: PartsFolder, names: Iterable[str], features: Iterable[str]) -> Profile:
    """The sum of some parts, of which two at a time are in memory."""
    profiles = (folder.load(name, features) for name in names)
    return reduce(add, (profile for profile in profiles if profile is not None))


def merged(folder: PartsFolder, manifest: Manifest) -> tuple[Profile, list[dict[str, Any]]]:
    """The sum of all parts, and the facts of each; raises as `whole_facts` does."""
    facts = whole_facts(folder, manifest)
    return sum_of(folder, facts, manifest.features), list(facts.values())
