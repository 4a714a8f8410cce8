"""Command lines that nobody means: a working one with some of its words lost, doubled or replaced by hostile ones.

To add a hostile word, name it in `hostile_words`; to add a command, name a working line of it in LINES.
"""

import gzip
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from random import Random

from typer.main import get_command

LINES = (
    "matrix a.jsonl b.jsonl --resamples 20 --format csv",
    "matrix a.jsonl b.jsonl --resamples 20 --save saved --metric js --feature token2 --tokens 500",
    "compare a.jsonl b.jsonl --top 3",
    "report a.jsonl b.jsonl --resamples 20 --out page.html",
    "advantage --pretrain a.jsonl --mid b.jsonl:0.2 --target c.jsonl --resamples 20 --metric js --feature token",
    "mix --pretrain a.jsonl b.jsonl --target c.jsonl --resamples 20 --min-share a.jsonl=0.5",
    "predict --pretrain a.jsonl --mid b.jsonl:0.2 --target c.jsonl --predictor js.token --resamples 20 --out p.json",
    "verify prediction.json results.csv --seed 1",
    "explain prediction.json --top 3",
    "sweep mixtures.csv losses.csv --corpora texts.toml",
    "profile a.jsonl --feature token --workers 1 --seed 1 --documents 50",
    "profile a.jsonl --feature token --part 0/2 --parts parts",
    "corpora show a.jsonl",
    "corpora add own a.jsonl",
    "metrics --format json",
    "tokenizers",
    "figures similarity_matrix --tables tables --out pictures",
    "train-eval --plan --pretrain a.jsonl --mid b.jsonl:0.2 --target c.jsonl --train-tokens 20k --out plan",
    "results study --rows --arm control",
)
TRAINING_LINES = (  # they need torch
    "tokenize a.jsonl --tokens 500 --stores hostile-stores",
    "evaluate run a.jsonl --documents 5 --stores stores --device cpu",
    "export run exported",
    "train --pretrain a.jsonl --pretrain-tokens 2k --sequence-length 64 --batch-size 8 --stores stores --out run2"
    " --device cpu --schedule wsd --save-seconds 100",
)
NUMBERS = ("-5", "0", "nan", "inf", "-inf", "1e308", "1e-320", "0x10", "2B", "99999999999999999999", "½", "1_000", "--")
TEXTS = (
    "",
    " ",
    "x" * 300,
    "a\nb",
    "a\x1b[31mb",
    "\udcff\udcfe",
    "../../..",
    "~nobody/a",
    "%s%n",
    "{}",
    "[]",
    "a:b:c",
    "'",
)
SPECS = (
    "zip://x.jsonl::a.zip", "file:///dev/null", "http://127.0.0.1:9/a.jsonl", "s3://", "://", "memory://a", "a.jsonl#",
    "a.jsonl#nothing", "a.jsonl#[assistant]", "a.jsonl@", "a.jsonl:0.5+b.jsonl:0.5", "a.jsonl:nan", "a.jsonl:-1", ":1",
    "+", "a.jsonl+", "b.jsonl:0", "nobody/nothing:x:y", "*.jsonl", "[", "nothing/**", "-a", "@", "#",
)  # fmt: skip


def hostile_words(folder: Path) -> list[str]:
    """Numbers, texts, specs and paths of files made here that no command expects."""
    hostile = folder / "hostile"
    hostile.mkdir(exist_ok=True)
    (hostile / "empty").touch()
    (hostile / "binary.jsonl").write_bytes(bytes(range(256)) * 8)
    (hostile / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 999)[:50])
    (hostile / "list.json").write_text("[1, [2], null]")
    (hostile / "deep.json").write_text("[" * 5000 + "]" * 5000)
    (hostile / "table.csv").write_text('a,b\n"1,2\n')
    (hostile / "names.toml").write_text("a = 1\n[b")
    (hostile / "not.parquet").write_bytes(b"PAR1" + bytes(99) + b"PAR1")
    _write_latin1_parquet(hostile / "latin1.parquet")
    model = hostile / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"model_type": "gpt_neox"}')
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))
    (hostile / "folder").mkdir(exist_ok=True)
    if not (hostile / "loop").is_symlink():
        (hostile / "loop").symlink_to("loop")
    paths = [str(path.relative_to(folder)) for path in sorted(hostile.iterdir())]
    places = [
        "/dev/null",
        "/dev/full",
        "/proc/nothing",
        "/proc/self/mem",
        ".",
        "a.jsonl/b",
        "prediction.json",
    ]
    return [*NUMBERS, *TEXTS, *SPECS, *paths, *places]


def _write_latin1_parquet(path: Path) -> None:
    """A column that says it is text, and is not UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.array([b"caf\xe9 " * 20] * 50, pa.binary())
    text = pa.StringArray.from_buffers(len(content), content.buffers()[1], content.buffers()[2])
    pq.write_table(pa.table({"text": text}), path)


def options_of(command: str) -> list[str]:
    """The options of a command."""
    from simtool.cli import app

    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    return [name for parameter in parameters for name in parameter.opts if name.startswith("--")]


# options with which a line would wait for something, or leave this folder or machine
LEFT_OUT = {
    "--engine",
    "--lm-eval",
    "--track",
    "--workers",
    "--compile",
    "--shard",
    "--help",
    "--all",
    "--train-tokens",
}


def hostile_line(rng: Random, lines: Sequence[str], words: Sequence[str]) -> list[str]:
    """A working line with one to three of its words changed."""
    line = rng.choice(lines).split()
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(1, len(line)) if len(line) > 1 else 1
        change = rng.random()
        if change < 0.5 and len(line) > 1 and line[place] != "--plan":  # without it, a study would run
            line[place] = rng.choice(words)
        elif change < 0.8:
            allowed = sorted(set(options_of(line[0])) - LEFT_OUT)
            line[place:place] = [rng.choice(allowed), rng.choice(words)]
        elif change < 0.9:
            line[place : place + 1] = [word for word in line[place : place + 1] if word == "--plan"]
        else:
            line.insert(place, rng.choice(words))
    return line


def prepare(folder: Path) -> list[str]:
    """What the lines of LINES name beside the workspace's own files; the hostile words."""
    (folder / "texts.toml").write_text('a = "a.jsonl"\nb = "b.jsonl"\n')
    rows = [(n, n / 10, 1 - n / 10, 3 - n / 9, 2 + n / 8) for n in range(8)]
    (folder / "mixtures.csv").write_text("run,a,b\n" + "".join(f"{n},{a},{b}\n" for n, a, b, *_ in rows))
    (folder / "losses.csv").write_text("run,a,b\n" + "".join(f"{n},{x},{y}\n" for n, *_, x, y in rows))
    os.environ["SIMTOOL_LONGEST_DOCUMENT"] = "64"
    return hostile_words(folder)
