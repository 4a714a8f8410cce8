"""What other people's files and words may hold, at random: python -m benchmarks.fuzz --seconds 600 --seed 1

files        containers and formats with one to three faults of bytes in them, before or behind compression
footers      parquet files of several writers with damaged footers
rows         records of random fields and values, read with random names of fields
templates    chat templates of random parts, on random chats
tokenizers   tokenizer.json with a fault
names        of corpora and mixtures
filters      of rows
corpora      corpora files

Each input must be read or end in one message (SimtoolError), within SECONDS; `crash`: the process ended. Where it is
read, its documents must be the same in three shards as in one, and rows must add up to documents, empty and bad ones:
else the outcome is `wrong`.
To add a kind, write a function of a generator and a folder, and name it in KINDS. The same seed gives the same inputs.
"""

import argparse
import bz2
import faulthandler
import gzip
import io
import json
import lzma
import os
import resource
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import zstandard

from benchmarks.injection import FAULTS, TooLong, other_value
from benchmarks.parquet_footers import WRITERS, parquet_of, with_damaged_footer
from simtool.corpora.chat import ChatTemplate
from simtool.corpora.layouts import CHATS, PLAIN, PROMPTS, RESPONSES, Messages, find_layout
from simtool.corpora.own import RowFilter, load_entries
from simtool.corpora.reading import Reading
from simtool.corpora.sources import file_corpus, find_files
from simtool.corpora.spec import parse_spec
from simtool.errors import SimtoolError
from simtool.mixture import parse_mixture
from simtool.profiles.resolve import Options, local_text
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens

SECONDS = 20  # in which a small input is read
OUTCOMES = ("crash", "traceback", "hang", "wrong", "message", "read")


class Wrong(Exception):
    """Something that was read contradicts itself."""


# ---- what is random -------------------------------------------------------------------------------------------

WORDS = (
    "", "a", "role", "user", "content", "value", "from", "text", "assistant", "system", "\0", "\ud800", "é",
    "x" * 99, "<think>", "</think>", "a\r\nb", "\u2028", "😀", "[]", '{"role": "user"}', "\ue0000\ue001",
)  # fmt: skip
FIELDS = (*PLAIN[:3], *PROMPTS[:3], *RESPONSES[:3], *CHATS[:3], "chosen", "rejected", "a.b", "meta", "id")
PARTS = (
    "a", "c4", ".", "..", "/", "~", "://", "http:", "#", "@", "[", "]", "*", "**", "?", ":", "0.2", "+", "-",
    "\0", "x" * 300, "user", "->", "%", "\\", " ", "a.jsonl", "memory", "::", "{a,b}", "\n", "1e999", "nan",
)  # fmt: skip
TOKENS = (
    "a", "b.c", "1", "'x'", "==", "<", "in", "not", "and", "or", "(", ")", "[", "]", ",", "-", "lambda", "\0",
    "None", "~", ">=", "1e999", "'", "a.b.c", "is", "if", "else", "*", "**", "%", "{", "}", ":=", "await",
)  # fmt: skip
JINJA = (
    "{% for message in messages %}", "{% endfor %}", "{{ message['content'] }}", "{{ message.role }}",
    "<|im_start|>", "{% if message['role'] == 'user' %}", "{% else %}", "{% endif %}", "{{ bos_token }}",
    "{{ messages[0].content }}", "{{ message.content | trim }}", "{% generation %}", "{% endgeneration %}",
    "{{ raise_exception('no') }}", "\n", "{% if add_generation_prompt %}A:{% endif %}",
    "{{ message | tojson }}", "{% set x = 1 %}", "{{ x * 10**9 }}", "{{ ''.__class__ }}", "{% include 'a' %}",
    "{{ range(10**9) | list }}", "{% macro f() %}{{ f() }}{% endmacro %}", "{{ f() }}", "{{ messages }}",
    "{{ none.a }}", "{#", "%}", "{{", "{{ loop.index }}", "{% break %}",
)  # fmt: skip
SETTINGS = (
    "path", "fields", "view", "split", "filter", "chat_template", "encoding", "train_on", "role", "delimiter",
    "quote", "about", "none",
)  # fmt: skip
VALUES = (
    '"a.jsonl"', '"x"', "1", "true", "[1]", "{a = 1}", '""', '"latin-1"', '"user"', '"a >"', '"\\u0000"',
    '"text"', '"\\t"', '"text == \'a\'"', '"rot13"', '"idna"', '"zlib"', "nan", "1979-05-27",
)  # fmt: skip
HEADS = ("[corpora.a]", "[corpora]", "corpora = 1", "[corpora.c4]", "[[corpora.a]]", "[corpora.'a b']", "[", "")


def words_of(rng: Random, parts: Sequence[str], most: int, between: str = "") -> str:
    return between.join(rng.choice(parts) for _ in range(rng.randint(0, most)))


def value_of(rng: Random, depth: int = 3) -> Any:
    """A value of JSON."""
    kind = rng.randrange(9 if depth else 6)
    if kind < 3:
        return rng.choice(WORDS)
    if kind < 6:
        return rng.choice([None, True, False, 0, -1, 1e308, 2**70, 0.5])
    if kind == 6:
        return {rng.choice(WORDS): value_of(rng, depth - 1) for _ in range(rng.randrange(4))}
    return [value_of(rng, depth - 1) if kind == 7 else turn_of(rng) for _ in range(rng.randrange(4))]


def turn_of(rng: Random) -> dict[str, Any]:
    """A turn of a chat, which may be none."""
    turn: dict[str, Any] = {"role": rng.choice(["user", "assistant", "system", "tool"]), "content": rng.choice(WORDS)}
    for name in ("role", "from", "content", "value", "tool_calls", "reasoning_content", "weight", "name"):
        if rng.random() < 0.15:
            turn[name] = value_of(rng, 2)
    if rng.random() < 0.2:
        turn.pop(rng.choice([*turn]))
    return turn


def row_of(rng: Random) -> Any:
    if rng.random() < 0.3:
        return {rng.choice(CHATS[:3]): [turn_of(rng) for _ in range(rng.randint(0, 4))]}
    return {rng.choice(FIELDS): value_of(rng) for _ in range(rng.randint(0, 4))}


# ---- kinds of inputs ------------------------------------------------------------------------------------------


def good_rows(rng: Random) -> list[dict[str, Any]]:
    texts = [words_of(rng, ("a ", "über ", "😀", "x\ny", "one two "), 40) or "a" for _ in range(rng.randint(1, 40))]
    return [{"text": text, "n": n, "messages": [{"role": "user", "content": text}]} for n, text in enumerate(texts)]


def as_bytes(rng: Random, rows: list[dict[str, Any]]) -> tuple[str, bytes]:
    """An ending, and rows as a file that has it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = rng.choice(["jsonl", "jsonl", "json", "csv", "tsv", "txt", "md", "parquet", "arrow", "feather", "warc"])
    stream = io.BytesIO()
    if kind == "jsonl":
        return kind, "".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) + "\n" for row in rows).encode()
    if kind == "json":
        return kind, json.dumps(rows).encode()
    if kind in ("csv", "tsv"):
        sign = "," if kind == "csv" else "\t"
        return kind, "\n".join([f"text{sign}n", *(f"{json.dumps(r['text'])}{sign}{r['n']}" for r in rows)]).encode()
    if kind == "warc":
        return kind, b"".join(page_of(row["text"]) for row in rows)
    if kind in ("txt", "md"):
        return kind, "\n\n".join(row["text"] for row in rows).encode()
    table = pa.Table.from_pylist(rows)
    if kind == "parquet":
        pq.write_table(table, stream, row_group_size=rng.choice([3, 100]), compression=rng.choice(["zstd", "none"]))
    else:
        new = pa.ipc.new_file if kind == "feather" or rng.random() < 0.5 else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression=rng.choice(["zstd", "lz4", None]))
        with new(stream, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=rng.choice([3, 100]))
    return kind, stream.getvalue()


def page_of(text: str) -> bytes:
    """A record of a web archive."""
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><p>" + text.encode()
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def lz4_bytes(data: bytes) -> bytes:
    import lz4.frame

    return lz4.frame.compress(data)


def zip_bytes(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", data)
    return stream.getvalue()


def tar_bytes(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("folder/a.jsonl")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
    ".lz4": lz4_bytes, ".zip": zip_bytes, ".tar.gz": tar_bytes,
}  # fmt: skip


def with_faults(data: bytes, rng: Random) -> bytes:
    for _ in range(rng.randint(1, 3)):
        data = rng.choice([*FAULTS, other_value])(data, rng) if data else b""
    return data


def read_file(rng: Random, folder: Path) -> None:
    ending, data = as_bytes(rng, good_rows(rng))
    is_inside = rng.random() < 0.5
    packing = rng.choice(["", "", "", *PACKED])
    data = with_faults(data, rng) if is_inside else data
    data = PACKED[packing](data)
    data = data if is_inside else with_faults(data, rng)
    name = "a.bin" if rng.random() < 0.1 else f"a.{ending}{packing}"
    (folder / name).write_bytes(data)
    read_path(folder / name, rng.choice([None, None, "text", "messages", "n"]))


def read_footer(rng: Random, folder: Path) -> None:
    path = folder / "a.parquet"
    path.write_bytes(with_damaged_footer(parquet_of(rng.choice([*WRITERS])), rng))
    read_path(path, rng.choice([None, "text", "messages", "n"]))


def read_path(path: Path, fields: str | None) -> None:
    """All documents of a path, whole and in three shards.

    Raises
    ------
    Wrong
        Where they differ.
    """
    corpus = file_corpus(str(path), fields)
    reading = Reading(skip_bad=True)
    whole = Counter(document.text for batch in corpus.batches(reading=reading) for document in batch)
    parts = Counter(
        document.text
        for shard in range(3)
        for batch in corpus.batches(shard, 3, Reading(skip_bad=True))
        for document in batch
    )
    if whole != parts:
        raise Wrong(f"{sum(whole.values())} documents, in three shards {sum(parts.values())}")


def read_rows(rng: Random, folder: Path) -> None:
    rows = [row_of(rng) for _ in range(rng.randint(0, 5))]
    fields = rng.choice([None, None, rng.choice(FIELDS), words_of(rng, [*FIELDS, "->", ",", ".", "[", "]"], 4)])
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    find_layout(rows, fields, "here").describe(rows)
    corpus, reading = file_corpus(str(path), fields), Reading(skip_bad=True)
    n_documents = sum(map(len, corpus.batches(reading=reading)))
    if n_documents + reading.n_skipped + reading.n_empty != len(rows):
        raise Wrong(f"{len(rows)} rows, of which {n_documents}, {reading.n_skipped} and {reading.n_empty}")


def write_chat(rng: Random, folder: Path) -> None:
    if rng.random() < 0.5:
        text = words_of(rng, JINJA, 8)
    else:  # one that is nearly right
        text = "".join((JINJA[0], "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n", JINJA[1]))
        text = with_faults(text.encode(), rng).decode("utf-8", "replace")
    template = ChatTemplate("fuzz", text, {"bos_token": "<s>"})
    layout = Messages("messages")
    for _ in range(3):
        row = {"messages": [turn_of(rng) for _ in range(rng.randint(0, 4))]}
        try:
            document = template(row, layout)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            continue  # a bad row, as Corpus says it
        if "".join(segment.text for segment in document.segments) != document.text:
            raise Wrong("the segments of a chat are not its text")


def read_tokenizer(rng: Random, folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.dumps(small_tokenizer(), ensure_ascii=rng.random() < 0.5).encode()
    path.write_bytes(with_faults(content, rng) if rng.random() < 0.5 else other_value(content, rng))
    tokenizer = load_tokenizer(path)
    ids, offsets = tokenizer.encode(["a b", "", "über 😀"])
    if offsets[-1] != len(ids) or (len(ids) and int(ids.max()) >= tokenizer.vocabulary_size):
        raise Wrong("ids beyond the vocabulary")
    spell, _ = readable_tokens(tokenizer)
    for token in ids[:3].tolist() if spell else ():
        spell(token)


def small_tokenizer() -> dict[str, Any]:
    """A byte-level BPE of the 256 bytes and a few merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: n for n, letter in enumerate([*letters, "Ġa", "ab"])}
    model = Tokenizer(models.BPE(vocabulary, [("Ġ", "a"), ("a", "b")]))
    model.pre_tokenizer, model.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    model.add_special_tokens(["<|endoftext|>"])
    return json.loads(model.to_str())


def read_name(rng: Random, folder: Path) -> None:
    text = words_of(rng, PARTS, 7)
    (folder / "a.jsonl").write_text('{"text": "a"}\n')
    is_local = "://" not in text and not text.startswith("-")  # no server is asked, nor standard input
    messages = [message_of(parse_mixture, text), message_of(parse_spec, text)]
    if is_local:
        messages += [message_of(find_files, text), message_of(local_text, text, options_of(folder))]
    if messages[-1]:
        raise SimtoolError(messages[-1])


def message_of(do: Callable[..., Any], *arguments: Any) -> str:
    """What is said of arguments; "" where they are good."""
    try:
        do(*arguments)
    except SimtoolError as error:
        return str(error)
    return ""


def options_of(folder: Path, corpora_file: Path | None = None) -> Options:
    return Options(cache=folder / "cache", data=None, corpora_file=corpora_file)


def filter_of(rng: Random, depth: int = 3) -> str:
    """A filter that is well formed, mostly."""
    kind = rng.randrange(6 if depth else 2)
    if kind < 2:
        return rng.choice(["a", "b.c", "1", "'x'", "[1, 'x']", "-2.5", "a.role", "None", "True"])
    if kind == 2:
        return f"not {filter_of(rng, depth - 1)}"
    signs = ["and", "or"] if kind == 3 else ["==", "!=", "<", ">=", "in", "not in"]
    parts = filter_of(rng, depth - 1), rng.choice(signs), filter_of(rng, depth - 1)
    return " ".join(parts) if kind == 4 else f"({' '.join(parts)})"


def read_filter(rng: Random, folder: Path) -> None:
    row_filter = RowFilter(words_of(rng, TOKENS, 9, " ") if rng.random() < 0.5 else filter_of(rng))
    for _ in range(3):
        row = {"a": value_of(rng), "b": {"c": value_of(rng)}, rng.choice(["a", "b", "d"]): value_of(rng)}
        if type(row_filter(row)) is not bool:
            raise Wrong("a filter that says neither yes nor no")


def read_corpora_file(rng: Random, folder: Path) -> None:
    path = folder / "simtool.toml"
    (folder / "a.jsonl").write_text('{"text": "a"}\n')
    names = rng.sample(SETTINGS, rng.randint(0, 4))
    lines = ["[corpora.a]" if rng.random() < 0.6 else rng.choice(HEADS)]
    lines += ['path = "a.jsonl"'] if rng.random() < 0.6 and "path" not in names else []
    lines += [f"{name} = {rng.choice(VALUES)}" for name in names]
    path.write_text("\n".join([*lines, words_of(rng, ("\0", "=", "[", "é", "\n"), 1)]), encoding="utf-8")
    for name in load_entries(path):
        corpus = local_text(name, options_of(folder, path))
        for batch in corpus.batches(reading=Reading(skip_bad=True)) if corpus else ():
            assert batch


KINDS: dict[str, Callable[[Random, Path], None]] = {
    "files": read_file,
    "footers": read_footer,
    "rows": read_rows,
    "templates": write_chat,
    "tokenizers": read_tokenizer,
    "names": read_name,
    "filters": read_filter,
    "corpora": read_corpora_file,
}

# ---- what comes of them ---------------------------------------------------------------------------------------


def outcome_of(read: Callable[[Random, Path], None], rng: Random) -> tuple[str, str]:
    """Which of OUTCOMES came of an input, and where."""

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    with tempfile.TemporaryDirectory(prefix="simtool-fuzz-") as folder:
        here = os.getcwd()
        os.chdir(folder)
        signal.alarm(SECONDS)
        try:
            read(rng, Path(folder))
            return "read", ""
        except SimtoolError as error:
            return ("message", "") if str(error).strip() else ("wrong", "an empty message")
        except Wrong as error:
            return "wrong", str(error)
        except TooLong:
            return "hang", traceback.format_exc()[-600:]
        except KeyboardInterrupt:
            raise
        except BaseException:  # a panic of a library in Rust is no Exception
            return "traceback", traceback.format_exc()[-900:]
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            os.chdir(here)


def outcome_in(kind: str, seed: int, number: int) -> tuple[str, str]:
    """The outcome of an input, in the process that reads it."""
    return outcome_of(KINDS[kind], Random(f"{seed} {kind} {number}"))


def prepare() -> None:
    """Of a process that reads inputs: says where a library crashes, and walks no large folder."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    os.environ["SIMTOOL_MOST_FILES"] = "200"


class Readers:
    """A process that reads inputs, and another where a library ended it, or lets no signal through."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.pool = ProcessPoolExecutor(1, get_context("spawn"), prepare)
        self.pool.submit(int).result()  # its imports are no part of an input's time

    def outcome(self, kind: str, seed: int, number: int) -> tuple[str, str]:
        try:
            return self.pool.submit(outcome_in, kind, seed, number).result(3 * SECONDS)
        except BrokenExecutor:
            self.pool.shutdown()
            self._start()
            return "crash", "the process ended"
        except TimeoutError:
            for process in [*(self.pool._processes or {}).values()]:
                process.kill()
            self.pool.shutdown()
            self._start()
            return "hang", "and no signal came through"


def fuzz(kinds: Sequence[str], seconds: float, seed: int, show: Callable[[str], None], most: int = 1 << 40) -> Counter:
    """How often each (kind, outcome) came, of inputs of all kinds in turn, as many as the seconds allow."""
    counts: Counter = Counter()
    end, readers = time.monotonic() + seconds, Readers()
    for n in range(most):
        for kind in kinds:
            outcome, place = readers.outcome(kind, seed, n)
            counts[kind, outcome] += 1
            if place:
                show(f"{outcome}: {kind} --seed {seed} number {n}: {place}")
        if time.monotonic() > end:
            break
    readers.pool.shutdown()
    return counts


def table_of(counts: Counter, kinds: Sequence[str]) -> str:
    """The counts as a table in Markdown."""
    lines = ["| inputs | number | " + " | ".join(OUTCOMES) + " |", "|---|---:|" + "---:|" * len(OUTCOMES)]
    for kind in kinds:
        numbers = [counts[kind, outcome] for outcome in OUTCOMES]
        lines.append(f"| {kind} | {sum(numbers):,} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    numbers = [sum(counts[kind, outcome] for kind in kinds) for outcome in OUTCOMES]
    return "\n".join([*lines, f"| all | {sum(numbers):,} | " + " | ".join(f"{number:,}" for number in numbers) + " |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only these")
    options = parser.parse_args()
    kinds = options.kind or [*KINDS]
    show = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    print(table_of(fuzz(kinds, options.seconds, options.seed, show), kinds))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"\nPeak memory of a process that read them: {peak} MB")


if __name__ == "__main__":
    main()
