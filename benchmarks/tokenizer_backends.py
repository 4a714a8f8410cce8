"""Claim: fastokens gives exactly the ids of `tokenizers`, tens of times as fast, on one thread and on all.

    python benchmarks/tokenizer_backends.py --data ../shared/data > tokenizer_backends.md

Every figure is the median of runs in fresh processes, each with a cold tokenizer, over the same documents of
eight kinds, from text in memory to ids in memory; loading the tokenizer is left out. "Ids" says whether all
ids of that text are those of `tokenizers`, and on how many of some thousand random strings they differ.
Peers that are not installed are left out: `python -m pip install gigatoken tiktoken` to see them.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import orjson
import zstandard

from simtool.tokens.backends import TRICKY, Fastokens, Reference, byte_of_letter
from simtool.tokens.files import find_tokenizer_file

TOKENIZERS = ("default", "pythia", "gpt2")
TEXT = ("c4", "wikipedia_en", "novels_en", "openstax_textbooks", "starcoder_like", "news_articles")
PAIRS = {
    "gsm8k_train": ("question", "answer"),
    "pycode_like_train": ("func_documentation_string", "func_code_string"),
}
BATCH = 1 << 22  # characters, as in simtool's pipeline
Encode = Callable[[list[str]], tuple[np.ndarray, np.ndarray]]  # ids, and how many each text has


# Tools. To add one, write the function that makes its `encode`, and name it in TOOLS.


def fastokens(definition: str, name: str, threads: int) -> Encode:
    model = Fastokens(definition)

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = model.encode(texts)
        return ids, np.diff(offsets)

    return encode


def tokenizers(definition: str, name: str, threads: int) -> Encode:
    model = Reference(definition)

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = model.encode(texts)
        return ids, np.diff(offsets)

    return encode


def gigatoken(definition: str, name: str, threads: int) -> Encode:
    import awkward
    from gigatoken import Tokenizer

    model = Tokenizer.from_json(definition)

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = model.encode_batch(texts, parallel=threads > 1)
        return np.asarray(awkward.flatten(ids)), np.asarray(awkward.num(ids))

    return encode


def tiktoken(definition: str, name: str, threads: int) -> Encode:
    from tiktoken import Encoding

    # It has no NFC and no added tokens that are not special, so it is not run on Pythia.
    model = json.loads(definition)
    letters = byte_of_letter()
    special = {token["content"]: token["id"] for token in model["added_tokens"]}
    ranks = {
        bytes(letters[c] for c in piece): number
        for piece, number in model["model"]["vocab"].items()
        if piece not in special
    }
    gpt2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    pattern = gpt2 if name == "gpt2" else model["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    encoding = Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = encoding.encode_ordinary_batch(texts, num_threads=threads)
        return np.concatenate([np.asarray(document, np.uint32) for document in ids]), np.array([*map(len, ids)])

    return encode


TOOLS = {tool.__name__: tool for tool in (tokenizers, fastokens, gigatoken, tiktoken)}


# Text


def documents(data: Path, megabytes: float) -> list[str]:
    """An equal share of each kind, shuffled."""
    share = megabytes * 1e6 / (len(TEXT) + len(PAIRS))
    texts = []
    for stem in (*TEXT, *PAIRS):
        used = 0
        for row in rows(data / f"{stem}.jsonl.zst"):
            if used > share:
                break
            texts.append("\n".join(row[field] for field in PAIRS.get(stem, ("text",))))
            used += len(texts[-1].encode())
    random.Random(0).shuffle(texts)
    return texts


def rows(path: Path) -> Iterator[dict]:
    with path.open("rb") as file:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file)):
            yield orjson.loads(line)


def batches(texts: list[str]) -> Iterator[list[str]]:
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size > BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def random_strings(n: int = 5_000) -> list[str]:
    rng = random.Random(0)
    pieces = [
        *"aB 1'\n\t.,_",
        "\r\n",
        "  ",
        "'s",
        "I'm",
        "\u0301",
        "\u200d",
        "中",
        "é",
        "ſ",
        "\u00a0",
        "٣",
        "123",
    ]
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    strings = (
        [rng.choice(pieces) if rng.random() < 0.8 else chr(rng.choice(points)) for _ in range(rng.randint(1, 30))]
        for _ in range(n)
    )
    return [*(text for text in TRICKY if text), *map("".join, strings)]


# Measurement


def measure(tool: str, tokenizer: str, data: Path, text: Path, threads: int) -> dict:
    """One run in this process: seconds, and what the ids were."""
    definition = find_tokenizer_file(tokenizer, data).read_text(encoding="utf-8")
    texts = orjson.loads(text.read_bytes())
    encode = TOOLS[tool](definition, tokenizer, threads)
    encode(["start the threads"])
    together = hashlib.sha256()
    seconds = 0.0
    for batch in batches(texts):
        start = time.perf_counter()
        ids, _ = encode(batch)
        seconds += time.perf_counter() - start
        together.update(ids.astype("<u4").tobytes())
    strings = random_strings()
    ids, counts = encode(strings)
    each = [document.tolist() for document in np.split(ids, np.cumsum(counts)[:-1])]
    return {"seconds": seconds, "ids": together.hexdigest(), "strings": each}


def run(tool: str, tokenizer: str, data: Path, text: Path, threads: int) -> dict:
    single = {"FASTOKENS_BPE_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    many = {"TOKENIZERS_PARALLELISM": "true"}
    arguments = ["--single", tool, tokenizer, str(data), str(text), str(threads)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | (single if threads == 1 else many),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{tool} on {tokenizer}: {done.stderr}")
    return json.loads(done.stdout)


def table(data: Path, megabytes: float, repeats: int) -> Iterator[str]:
    texts = documents(data, megabytes)
    n_bytes = sum(len(text.encode()) for text in texts)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield f"{n_bytes / 1e6:.0f} MB in {len(texts):,} documents; {machine()}, {cores} cores, Python"
    yield f"{platform.python_version()}; medians of {repeats} runs in fresh processes."
    yield ""
    yield f"| tokenizer | tool | MB/s, 1 thread | MB/s, {cores} threads | against `tokenizers` | ids |"
    yield "|---|---|---:|---:|---:|---|"
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "texts.json"
        text.write_bytes(orjson.dumps(texts))
        for tokenizer in TOKENIZERS:
            tools = [tool for tool in TOOLS if installed(tool) and (tool, tokenizer) != ("tiktoken", "pythia")]
            runs: dict[tuple[str, int], list[dict]] = {}
            for _ in range(repeats):  # in turn, so that whatever else runs here slows all of them alike
                for tool in tools:
                    for threads in (1, cores):
                        measured = run(tool, tokenizer, data, text, threads)
                        runs.setdefault((tool, threads), []).append(measured)
            speed = {
                key: n_bytes / 1e6 / statistics.median(measured["seconds"] for measured in repeated)
                for key, repeated in runs.items()
            }
            right = runs[tools[0], 1][0]
            for tool in tools:
                got = runs[tool, 1][0]
                wrong = sum(a != b for a, b in zip(got["strings"], right["strings"], strict=True))
                same = "same" if got["ids"] == right["ids"] else "differ"
                ids = f"{same}; {wrong} of {len(got['strings']):,} strings differ"
                cells = [
                    tokenizer,
                    f"{tool} {version(tool)}",
                    f"{speed[tool, 1]:.1f}",
                    f"{speed[tool, cores]:.1f}",
                    f"{speed[tool, 1] / speed[tools[0], 1]:.0f}x",
                    "reference" if tool == tools[0] else ids,
                ]
                yield f"| {' | '.join(cells)} |"


def installed(tool: str) -> bool:
    try:
        return bool(version(tool))
    except PackageNotFoundError:
        return False


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokenizer backends: speed and exactness.")
    parser.add_argument("--data", type=Path, help="folder with NAME.jsonl.zst and tokenizers/")
    parser.add_argument("--megabytes", type=float, default=20, help="text to encode, MB (default 20)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each tool (default 3)")
    parser.add_argument("--single", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.single:
        tool, tokenizer, data, text, threads = options.single
        json.dump(measure(tool, tokenizer, Path(data), Path(text), int(threads)), sys.stdout)
    elif options.data is None:
        parser.error("--data is needed")
    else:
        for line in table(options.data, options.megabytes, options.repeats):
            print(line, flush=True)


if __name__ == "__main__":
    main()
