"""How fast text becomes counts, end to end: read, decode, tokenize, count; against what people use today.

    python benchmarks/profile_counting.py --data ../shared/data

Everybody reads the same JSON lines with the same tokenizer; ids and counts are compared and must be equal
(n-gram counts before hashing). simtool runs on all of the text; the others, which are slow, on its first part.
Figures are megabytes of text a second, medians of several runs in turn, and ratios to them.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.sources import file_corpus
from simtool.profiles.count import count_corpus
from simtool.profiles.features import FEATURES
from simtool.profiles.resolve import Options, local_text
from simtool.similarity.matrix import SimilarityMatrix, similarity_matrix
from simtool.tokens.files import find_tokenizer_file
from simtool.tokens.tokenizer import load_tokenizer

CORPORA = ("wikipedia", "starcoder", "novels", "imdb_reviews", "pycode")
ORDERS = (1, 2, 3, 4)
NGRAMS = ("token", "token2", "token3", "token4")


def write_text(path: Path, data: Path, megabytes: float, corpora: tuple[str, ...] = CORPORA) -> int:
    """Documents of several kinds in turn, as JSON lines; how many bytes of text they hold."""
    streams = []
    for name in corpora:
        corpus = local_text(name, Options(data=data))
        assert corpus is not None, f"{CATALOGUE[name].name} is not in {data}"
        streams.append(corpus.documents())
    n_bytes = 0
    with path.open("wb") as file:
        while streams and n_bytes < megabytes * 1e6:
            for stream in list(streams):
                document = next(stream, None)
                if document is None:
                    streams.remove(stream)
                    continue
                file.write(orjson.dumps({"text": document.text}) + b"\n")
                n_bytes += len(document.text.encode())
    return n_bytes


def write_three(folder: Path, data: Path, megabytes: float) -> tuple[list[Path], list[int]]:
    """Three files of different documents of one kind."""
    folder.mkdir()
    paths = [folder / f"{name}.jsonl" for name in CORPORA[:3]]
    return paths, [write_text(path, data, megabytes, (path.stem,)) for path in paths]


def simtool(path: Path, tokenizer: str, features: tuple[str, ...], workers: int):
    return count_corpus(file_corpus(str(path)), load_tokenizer(tokenizer), features, workers=workers)


def tokenizers_and_counter(path: Path, tokenizer: str, orders: tuple[int, ...]) -> list[Counter]:
    """(a) The usual script: `tokenizers` in batches, `collections.Counter` of tuples."""
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(find_tokenizer_file(tokenizer)))
    counts = [Counter() for _ in orders]
    with path.open() as file:
        for encoded in model.encode_batch_fast([json.loads(line)["text"] for line in file], add_special_tokens=False):
            ids = encoded.ids
            for counter, order in zip(counts, orders, strict=True):
                counter.update(zip(*(ids[k:] for k in range(order)), strict=False) if order > 1 else ids)
    return counts


def count_vectorizer(path: Path, tokenizer: str, orders: tuple[int, ...]):
    """(b) scikit-learn, with the same tokens: a sparse matrix and its vocabulary."""
    from sklearn.feature_extraction.text import CountVectorizer
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(find_tokenizer_file(tokenizer)))
    vectorizer = CountVectorizer(
        tokenizer=lambda text: list(map(str, model.encode(text, add_special_tokens=False).ids)),
        token_pattern=None,
        lowercase=False,
        ngram_range=(min(orders), max(orders)),
    )
    with path.open() as file:
        matrix = vectorizer.fit_transform(json.loads(line)["text"] for line in file)
    return dict(zip(vectorizer.get_feature_names_out(), np.asarray(matrix.sum(axis=0)).ravel(), strict=True))


def published_matrix(paths: list[Path], orders: tuple[int, ...]) -> dict[tuple[int, int], float]:
    """(c) The published scripts' way to a matrix, in our own words: for every cell of one triangle and the
    diagonal both corpora are counted again, lower-cased words, n-grams as strings, Counter."""
    cells = {}
    for i, first in enumerate(paths):
        for j, second in enumerate(paths[i:], i):
            p, q = word_counts(first, orders), word_counts(second, orders)
            shared = sum(min(count, b[key]) for a, b in zip(p, q, strict=True) for key, count in a.items())
            cells[i, j] = shared / sum(order.total() for order in p)
    return cells


def word_counts(path: Path, orders: tuple[int, ...]) -> list[Counter]:
    counts = [Counter() for _ in orders]
    with path.open() as file:
        for line in file:
            words = json.loads(line)["text"].lower().split()
            for counter, order in zip(counts, orders, strict=True):
                counter.update(" ".join(words[i : i + order]) for i in range(len(words) - order + 1))
    return counts


def our_matrix(paths: list[Path], tokenizer: str) -> list[SimilarityMatrix]:
    profiles = {str(path): simtool(path, tokenizer, NGRAMS, 2) for path in paths}
    return [similarity_matrix(profiles, metric="overlap", feature=name) for name in NGRAMS]


def check_agreement(path: Path, tokenizer: str) -> None:
    """The same ids and counts: unigrams exactly, n-grams by the bucket that each is hashed to."""
    profile = simtool(path, tokenizer, NGRAMS, workers=2)
    size = load_tokenizer(tokenizer).vocabulary_size
    for order, name, counter in zip(ORDERS, NGRAMS, tokenizers_and_counter(path, tokenizer, ORDERS), strict=True):
        ngrams = np.array([[key] if order == 1 else key for key in counter], np.uint32)
        offsets = np.arange(len(ngrams) + 1) * order
        buckets = FEATURES[name].buckets(ngrams.ravel(), offsets, size)
        expected = np.bincount(buckets, list(counter.values()), FEATURES[name].dimension(size)).astype(np.int64)
        assert (profile.features[name].sum(axis=0) == expected).all(), f"{name} differs"
    vectorized = count_vectorizer(path, tokenizer, (1,))
    assert {int(key): count for key, count in vectorized.items()} == dict(counter_of_tokens(profile))


def counter_of_tokens(profile) -> Counter:
    counts = profile.features["token"].sum(axis=0)
    return Counter({int(token): int(counts[token]) for token in np.flatnonzero(counts)})


def speed(run: Callable[[], object], n_bytes: int) -> float:
    began = time.perf_counter()
    run()
    return n_bytes / 1e6 / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--peer-megabytes", type=float, default=8)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.jsonl", Path(folder) / "part.jsonl"
        n_whole = write_text(whole, options.data, options.megabytes)
        n_part = write_text(part, options.data, options.peer_megabytes)
        three, n_three = write_three(Path(folder) / "three", options.data, options.peer_megabytes / 2)
        large, n_large = write_three(Path(folder) / "large", options.data, options.megabytes / 6)
        check_agreement(part, options.tokenizer)
        name = options.tokenizer
        rows: dict[str, tuple[int, Callable[[], object]]] = {
            "simtool, unigrams": (n_whole, lambda: simtool(whole, name, ("token",), 2)),
            "simtool, 1- to 4-grams": (n_whole, lambda: simtool(whole, name, NGRAMS, 2)),
            "simtool, every feature": (n_whole, lambda: simtool(whole, name, tuple(FEATURES), 2)),
            "(a) tokenizers + Counter, unigrams": (n_part, lambda: tokenizers_and_counter(part, name, (1,))),
            "(a) tokenizers + Counter, 1- to 4-grams": (n_part, lambda: tokenizers_and_counter(part, name, ORDERS)),
            "(b) CountVectorizer, unigrams": (n_part, lambda: count_vectorizer(part, name, (1,))),
            "(b) CountVectorizer, 1- to 4-grams": (n_part, lambda: count_vectorizer(part, name, (1, 2, 3, 4))),
            "(c) published way to a 3 x 3 matrix, words": (sum(n_three), lambda: published_matrix(three, ORDERS)),
            "simtool, that matrix, with intervals": (sum(n_large), lambda: our_matrix(large, name)),
        }
        speeds: dict[str, list[float]] = {row: [] for row in rows}
        for _ in range(options.runs):
            for row, (n_bytes, run) in rows.items():
                speeds[row].append(speed(run, n_bytes))
    medians = {row: statistics.median(values) for row, values in speeds.items()}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},")
    print(f"load average {os.getloadavg()[0]:.1f} at the end; {n_whole / 1e6:.0f} MB ({n_part / 1e6:.0f} MB for peers)")
    print(f"of {', '.join(CORPORA)}; tokenizer {name}; medians of {options.runs} runs. Ids and counts agree.\n")
    print("| pipeline | MB/s | lowest to highest | simtool is faster by |\n|---|---:|---:|---:|")
    for row, values in speeds.items():
        ours = "simtool, unigrams" if "unigrams" in row else "simtool, 1- to 4-grams"
        ours = "simtool, that matrix, with intervals" if "matrix" in row else ours
        ratio = "" if row.startswith("simtool") else f"{medians[ours] / medians[row]:.0f} times"
        print(f"| {row} | {medians[row]:.1f} | {min(values):.1f} to {max(values):.1f} | {ratio} |")
    peaks = [resource.getrusage(who).ru_maxrss / 1e3 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"\nPeak memory: {peaks[0]:.0f} MB in the main process, {peaks[1]:.0f} MB in the largest worker.")


if __name__ == "__main__":
    main()
