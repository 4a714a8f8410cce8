"""A profile: what was counted in a corpus, per fold of its documents. Profiles add; the file holds counts only.

The file is parquet, which any reader opens: one row group a feature, one row a non-zero count, and the facts
about the text as JSON in the file's metadata. A count is found at cell = bucket * N_FOLDS + fold; what is
written is `gap`, the distance from the cell before (the first from -1), because small numbers pack well: a fifth
less than fold and bucket, and the profiles that ship must be small.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xxhash

from simtool.errors import SimtoolError
from simtool.integrity import check_json, damage_as_message, with_hash
from simtool.profiles.features import N_FOLDS
from simtool.tables import atomic_write

FORMAT = 1  # raised when a file of an older layout would be read wrongly
METADATA = b"simtool_profile"
REMEDY = "Remove it and count the text again: nothing but time is lost."
SIZES = ("n_documents", "n_tokens", "n_bytes")
HELD_BYTES = 1 << 27  # of counts read from files, over all profiles: the features of a few corpora
FACTS = frozenset({"format", "corpus", "tokenizer", "fingerprint", *SIZES, "features", "labels", "facts"})


class SavedCounts(Mapping[str, np.ndarray]):
    """Counts that stay in their files until they are used: a corpus with all features would take 0.36 GB.

    Those that were used last are held, HELD_BYTES in all.

    places   {name: (file, dimension)}
    """

    _held: ClassVar[OrderedDict[tuple[Path, int, str], np.ndarray]] = OrderedDict()

    def __init__(self, places: Mapping[str, tuple[Path, int]]):
        self.places = dict(places)

    def __getitem__(self, name: str) -> np.ndarray:
        path, _ = self.places[name]
        counts = self._held.get(self._key(name))
        if counts is None:
            counts = load_profile(path, [name]).features[name]
        self.hold(name, counts)
        return counts

    def hold(self, name: str, counts: np.ndarray) -> None:
        """Keep what was read or counted just now, and let go of what was not used for longest."""
        self._held[self._key(name)] = counts
        self._held.move_to_end(self._key(name))
        while sum(array.nbytes for array in self._held.values()) > HELD_BYTES:
            self._held.popitem(last=False)

    def _key(self, name: str) -> tuple[Path, int, str]:
        path, _ = self.places[name]
        return path, path.stat().st_mtime_ns if path.exists() else 0, name

    def __or__(self, other: "SavedCounts") -> "SavedCounts":
        return SavedCounts(self.places | other.places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Profile:
    """Counts of a corpus under a tokenizer. The sum of the profiles of disjoint parts is the profile of the
    whole, bit for bit, in any order.

    n_documents, n_tokens, n_bytes   int64 (N_FOLDS,)             of each fold; n_bytes is UTF-8
    features                         {name: int64 (N_FOLDS, dimension)}
    labels                           {name: {bucket: symbol ids}} one frequent n-gram of some buckets, for people
    facts                            where the text came from: source, stand_in, date, versions ...
    """

    corpus: str
    tokenizer: str
    fingerprint: str
    n_documents: np.ndarray
    n_tokens: np.ndarray
    n_bytes: np.ndarray
    features: Mapping[str, np.ndarray]
    labels: Mapping[str, Mapping[int, tuple[int, ...]]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = () if isinstance(self.features, SavedCounts) else self.features.values()
        for array in (self.n_documents, self.n_tokens, self.n_bytes, *counts):
            if array.shape[0] != N_FOLDS:
                raise ValueError(f"counts must have {N_FOLDS} folds, got shape {array.shape}")
            array.flags.writeable = False

    def __repr__(self) -> str:
        """In short: the counts themselves are millions of numbers."""
        size = f"{self.n_documents.sum():,} documents, {self.n_tokens.sum():,} tokens ({self.tokenizer})"
        return f"Profile of {self.corpus}: {size}; {', '.join(self.features)}"

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.features, SavedCounts):
            return vars(self)
        # between processes counts travel in as few bytes as they need: 335 MB for all features would take a second
        narrow = {name: counts.astype(np.min_scalar_type(counts.max())) for name, counts in self.features.items()}
        return {**vars(self), "features": narrow}

    def __setstate__(self, state: dict[str, Any]) -> None:
        features = state["features"]
        if not isinstance(features, SavedCounts):
            features = {name: counts.astype(np.int64) for name, counts in features.items()}
        self.__dict__.update({**state, "features": features})
        self.__post_init__()

    def __add__(self, other: "Profile") -> "Profile":
        check_same_tokenizer([self, other])
        if set(self.features) != set(other.features):
            raise SimtoolError(
                f"Profiles of different features cannot be added: {', '.join(self.features)}"
                f" and {', '.join(other.features)}."
            )
        return replace(
            self,
            n_documents=self.n_documents + other.n_documents,
            n_tokens=self.n_tokens + other.n_tokens,
            n_bytes=self.n_bytes + other.n_bytes,
            features={name: counts + other.features[name] for name, counts in self.features.items()},
            labels={name: {**other.labels.get(name, {}), **self.labels.get(name, {})} for name in self.features},
        )

    def dimension(self, feature: str) -> int:
        """How many columns the counts of a feature have."""
        saved = self.features
        return saved.places[feature][1] if isinstance(saved, SavedCounts) else saved[feature].shape[1]

    @property
    def size(self) -> dict[str, int]:
        """Documents, tokens and bytes in all."""
        return {
            "documents": int(self.n_documents.sum()),
            "tokens": int(self.n_tokens.sum()),
            "bytes": int(self.n_bytes.sum()),
        }


def check_same_tokenizer(profiles: Iterable[Profile]) -> None:
    """Profiles that are compared were counted with tokenizers that give the same ids.

    Raises
    ------
    SimtoolError
        When they give different ids.
    """
    first, *others = profiles
    for other in others:
        if other.fingerprint != first.fingerprint:
            raise SimtoolError(
                "Profiles under different tokenizers cannot be compared:"
                f" {first.corpus} is under {first.tokenizer} ({first.fingerprint[:16]}),"
                f" {other.corpus} under {other.tokenizer} ({other.fingerprint[:16]}).\n"
                "Count both under one: --tokenizer NAME."
            )


def check_counted(profile: Profile, name: str, features: Iterable[str]) -> None:
    """A profile has something to compare in each of these features.

    Raises
    ------
    SimtoolError
        Where nothing can be compared: no n-gram at all of a feature, or one document many times.
    """
    n_documents = int(profile.n_documents.sum())
    if n_documents >= N_FOLDS and (profile.n_documents > 0).sum() == 1:  # by chance in 1 of 10^18
        raise SimtoolError(f"The {n_documents:,} documents of {name} are all the same document. Give different ones.")
    for feature in features:
        if not profile.features[feature].any():
            raise SimtoolError(f"{name} has nothing to count for {feature}. Give longer documents or another feature.")


def save_profile(profile: Profile, path: Path, compression_level: int = 3) -> None:
    """Write a profile, whole or not at all. compression_level: of zstd, 1 to 22."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("gap", pa.int32()), ("count", pa.int64())])
    groups, described = [], {}
    for name, counts in profile.features.items():
        cells = counts.T.ravel()
        seen = np.flatnonzero(cells)
        gap, count = np.diff(seen, prepend=-1).astype(np.int32), cells[seen]
        described[name] = {"dimension": counts.shape[1], "hash": _hash(gap, count)}
        groups.append(pa.Table.from_arrays([_arrow(pa.int32(), gap), _arrow(pa.int64(), count)], schema=schema))
    facts = {
        "format": FORMAT,
        "corpus": profile.corpus,
        "tokenizer": profile.tokenizer,
        "fingerprint": profile.fingerprint,
        "n_documents": profile.n_documents.tolist(),
        "n_tokens": profile.n_tokens.tolist(),
        "n_bytes": profile.n_bytes.tolist(),
        "features": described,
        "labels": {
            name: [[bucket, *ngram] for bucket, ngram in labels.items()] for name, labels in profile.labels.items()
        },
        "facts": dict(profile.facts),
    }
    with (
        atomic_write(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema.with_metadata({METADATA: json.dumps(with_hash(facts))}),
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=False,
            column_encoding=dict.fromkeys(schema.names, "BYTE_STREAM_SPLIT"),
        ) as writer,
    ):
        for group in groups:
            writer.write_table(group, row_group_size=max(len(group), 1))


def load_profile(path: Path, features: Iterable[str] | None = None) -> Profile:
    """A profile with the features asked for (None: all of them), checked against its hashes.

    Raises
    ------
    SimtoolError
        When the file is missing, damaged, not a profile, of another version, or lacks a feature.
    """
    with _opened(path) as file:
        facts = _facts(file, path)
        names = list(facts["features"]) if features is None else list(features)
        if missing := [name for name in names if name not in facts["features"]]:
            raise SimtoolError(
                f"The profile {path} has no feature {', '.join(missing)}. It has: {', '.join(facts['features'])}."
            )
        return Profile(
            corpus=facts["corpus"],
            tokenizer=facts["tokenizer"],
            fingerprint=facts["fingerprint"],
            **{size: np.array(facts[size], np.int64) for size in SIZES},
            features={name: _read_feature(file, facts["features"], name) for name in names},
            labels={name: {bucket: tuple(ngram) for bucket, *ngram in facts["labels"].get(name, [])} for name in names},
            facts=facts["facts"],
        )


def open_profile(path: Path, features: Iterable[str] | None = None) -> Profile:
    """As `load_profile`, but the counts, once checked, are read again when they are used."""
    return released(load_profile(path, features), path)


def released(profile: Profile, path: Path) -> Profile:
    """A profile whose counts are read from its file when they are used."""
    saved = SavedCounts({name: (path, counts.shape[1]) for name, counts in profile.features.items()})
    for name, counts in profile.features.items():
        saved.hold(name, counts)
    return replace(profile, features=saved)


def profile_facts(path: Path) -> dict[str, Any]:
    """What a profile's file says of itself, without reading the counts."""
    with _opened(path) as file:
        return _facts(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    if not Path(path).exists():
        raise SimtoolError(f"No profile {path}.")
    with damage_as_message(path, REMEDY), pq.ParquetFile(path) as file:
        yield file


def _facts(file: Any, path: Path) -> dict[str, Any]:
    metadata = (file.schema_arrow.metadata or {}).get(METADATA)
    if metadata is None:
        raise SimtoolError(f"{path} is a parquet file, but not a simtool profile.")
    facts = json.loads(metadata)
    if facts["format"] != FORMAT:
        raise SimtoolError(
            f"{path} is a profile of format {facts['format']}; this simtool reads format {FORMAT}. Count it again."
        )
    check_json(facts, FACTS)
    return facts


def _read_feature(file: Any, described: dict[str, Any], name: str) -> np.ndarray:
    rows = file.read_row_group(list(described).index(name))
    gap, count = _array(rows["gap"], np.int32), _array(rows["count"], np.int64)
    if _hash(gap, count) != described[name]["hash"]:
        raise ValueError(f"the counts of {name} do not match their hash")
    cells = np.zeros(described[name]["dimension"] * N_FOLDS, np.int64)
    cells[np.cumsum(gap, dtype=np.int64) - 1] = count
    return np.ascontiguousarray(cells.reshape(-1, N_FOLDS).T)


def _arrow(dtype: Any, array: np.ndarray) -> Any:
    """Arrow's array of the same memory. Not `pa.array`, which imports pandas where it is installed: 0.4 s."""
    import pyarrow as pa

    return pa.Array.from_buffers(dtype, len(array), [None, pa.py_buffer(np.ascontiguousarray(array))])


def _array(column: Any, dtype: type[np.generic]) -> np.ndarray:
    # not Arrow's to_numpy, which imports pandas: 0.2 s
    return np.frombuffer(column.combine_chunks().buffers()[1], dtype, len(column))


def _hash(gap: np.ndarray, count: np.ndarray) -> str:
    digest = xxhash.xxh3_64(np.ascontiguousarray(gap))
    digest.update(np.ascontiguousarray(count))
    return digest.hexdigest()
