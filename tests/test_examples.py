"""Every command that a page shows is run as its reader would: one after another, in a folder with what the page names.

What differs from the page stands in SMALLER (amounts, so that a page takes seconds), and what is not run in NOT_RUN.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
import zstandard

from simtool.corpora.catalogue import find_corpus
from tests.conftest import sentences, write_jsonl
from tests.corpora.chat_templates import CHATML
from tests.corpora.hub_server import card, hub_server, jsonl
from tests.tokens.hub import served

ROOT = Path(__file__).parent.parent
PYTHIA = ROOT.parent / "shared" / "data" / "tokenizers" / "gpt_neox_20b_tokenizer.json"
PAGE_FOLDER = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(PAGE_FOLDER.rglob("*.md"))]

# (as the page has it, as it is run)
SMALLER = [
    ("--nproc-per-node 8", "--nproc-per-node 2"),
    ("--model 160m", "--model nano --device cpu"),
    ("--pretrain-tokens 2B", "--pretrain-tokens 2k --sequence-length 32 --batch-size 4"),
    ("--pretrain-tokens 2M", "--pretrain-tokens 2k --sequence-length 32 --batch-size 4 --device cpu"),
    ("--precision bf16", "--precision fp32"),  # many a CPU has no bf16, and takes its time over it
    ("--mid-tokens 80k", "--mid-tokens 512 --device cpu --max-epochs 8"),
    ("--evaluate-documents 50", "--evaluate-documents 2"),
    ("--tokens 10M", "--tokens 2k"),
    ("train-eval shared-mini --data DIR --plan", "train-eval shared-mini --data DIR --plan --device cpu"),
]

# how a command begins, and why it is not run here
NOT_RUN = {
    "python -m pip install": "the environment of the tests is that",
    "simtool train-eval  ": "ten minutes: the default study; its results are shown of a small one",
    "simtool train-eval shared-mini --data DIR --engine ray": "hours on a GPU",
    "sbatch": "Slurm: tests/profiles/test_array_job.py runs the script in processes",
    "simtool profile --merge /shared/parts": "the same",
    "torchrun --nnodes": "four machines",
    "python -m simtool.profiles.reference.build": "the corpora that ship, from their real text",
    "python -m simtool.tokens.embedded.build": "the tokenizer that ships, from real text",
    "python -m analyses._pile": "real text, which is not in the repository",
    "simtool sweep --mixtures ../shared": "the same; a minute and a half with the one before",
}

TORCH = re.compile(r"simtool(\.cli)? (train|evaluate|export|results|train-eval)\b")


def commands_of(page: Path) -> list[str]:
    text = "".join(re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
    return [f"{line}\n" for line in re.findall(r"^\$ (.*)", text.replace("\\\n", " "), re.M)]


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN)) and ("shared-mini" not in command or PYTHIA.exists())


def needs_torch(page: Path) -> bool:
    return any(TORCH.search(command) for command in [*BEFORE.get(page.stem, ()), *commands_of(page)] if is_run(command))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(is_run, commands_of(page)))], ids=lambda page: page.stem
)
def test_every_command_of_a_page_runs(page, folder):
    if needs_torch(page) and find_spec("torch") is None:
        pytest.skip("some of its commands need torch")
    with HUBS.get(page.stem, no_hub)(folder) as variables:
        environment = surroundings(folder) | variables
        for command in filter(is_run, [*BEFORE.get(page.stem, ()), *commands_of(page)]):
            if variable := re.match(r"export (\w+)=(\S+)", command):
                environment[variable[1]] = variable[2]
            else:
                run(command, folder, environment)


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    here = ROOT if "pytest" in command else folder
    done = subprocess.run(
        ["bash", "-ec", smaller(command)], cwd=here, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, f"{command}{done.stderr}"
    return done.stdout


def smaller(command: str) -> str:
    for shown, here in SMALLER:
        command = command.replace(shown, here)
    return command


@pytest.mark.slow
def test_the_corpora_file_of_a_page_is_read(folder):
    write_block(PAGE_FOLDER / "guide" / "compare.md", folder / "simtool.toml")
    (folder / "exports").mkdir()
    columns = {"subject": "Café", "body": sentences(200), "lang": ["en", "fr"] * 100, "stars": [5] * 150 + [1] * 50}
    (folder / "exports" / "tickets.csv").write_bytes(pl.DataFrame(columns).write_csv().encode("latin-1"))
    out = run("simtool corpora show tickets\n", folder, surroundings(folder))
    assert "Café" in out
    out = run("simtool profile tickets\n", folder, surroundings(folder))
    assert "documents 75 " in out  # English, of more than three stars


@pytest.mark.slow
def test_the_map_of_a_page_is_read(folder):
    write_block(PAGE_FOLDER / "sweeps.md", folder / "map.toml")
    (folder / "texts").mkdir()
    for seed, name in enumerate(("arxiv", "arxiv_validation", "forums")):
        write_zst(folder / "texts" / f"{name}.jsonl.zst", [{"text": text} for text in sentences(150, seed)])
    write_jsonl(folder / "texts" / "forums.jsonl", sentences(150, seed=3))
    write_sweep_tables(folder, ["arxiv", "web", "code"], ["arxiv", "python"])
    command = "simtool sweep --mixtures ratios.csv --losses losses.csv --corpora map.toml --data DIR --save out\n"
    run(command, folder, surroundings(folder))
    assert set(pl.read_csv(folder / "out" / "sweep_ranking.csv")["target"]) == {"mean", "arxiv", "python"}


def write_block(page: Path, path: Path) -> None:
    """The one block of TOML of a page, as a file."""
    [text] = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    path.write_text(text, encoding="utf-8")


# Before a page's first command: what it takes as made by another page, or by hours of training.
TINY_STUDY = (
    "simtool train-eval --pretrain web.jsonl --mid notes.jsonl:0.5 --target chat.jsonl --train-tokens 16k --seeds 1"
    " --device cpu --out studies/quick\n"
)
PREDICTION = "simtool predict --mid starcoder:0.2 --mid math:0.12 --target pycode --out prediction.json\n"
BEFORE = {
    "README": [TINY_STUDY],
    "cli": ["simtool matrix c4 gsm8k --save out\n", TINY_STUDY],
    "export": [PREDICTION],
}


def surroundings(folder: Path) -> dict[str, str]:
    """The variables of a shell in which `simtool` and `python` are those of the tests."""
    path = {
        "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return {**os.environ, "COLUMNS": "78", "SIMTOOL_CACHE": str(folder.parent / "cache"), **path}


@pytest.fixture
def folder(tmp_path):
    """A working folder with everything that pages name; its sibling `shared/data` is the pages' `DIR`."""
    here = tmp_path / "work"
    here.mkdir()
    write_programs(tmp_path / "bin")
    write_data(tmp_path / "shared" / "data")
    (here / "DIR").symlink_to(tmp_path / "shared" / "data")
    write_own_files(here)
    write_sweep(here)
    return here


def write_programs(folder: Path) -> None:
    folder.mkdir()
    for name, arguments in {
        "simtool": "-m simtool.cli ",
        "python": "",
        "torchrun": "-m torch.distributed.run ",
    }.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments}"$@"\n')
        (folder / name).chmod(0o755)


def write_data(folder: Path) -> None:
    """A file of each corpus that pages train on, in the columns that it has on the hub."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("c4", "starcoder", "math", "flan", "pycode", "gsm8k", "sciq")):
        corpus = find_corpus(name)
        rows = [with_words(corpus.example, words) for words in sentences(150, seed)]
        write_zst(folder / f"{next(iter(corpus.files))}.jsonl.zst", rows)
    if PYTHIA.exists():
        (folder / "tokenizers").symlink_to(PYTHIA.parent)


def with_words(row: dict, words: str) -> dict:
    """The row with other words in each text, so that no two rows are the same."""
    return {name: f"{words} {value}" if isinstance(value, str) else value for name, value in row.items()}


def write_zst(path: Path, rows: list[dict]) -> None:
    path.write_bytes(zstandard.compress(b"".join(orjson.dumps(row) + b"\n" for row in rows)))


def write_own_files(folder: Path) -> None:
    """What pages call the reader's own, in the layouts that they say it has."""
    texts = sentences(200, seed=9)
    rows = [{"text": text} for text in texts]
    for name in ("notes", "manuals"):
        write_zst(folder / f"{name}.jsonl.zst", rows)
    write_zst(folder / "my_corpus.jsonl.zst", [{"content": text} for text in texts])
    for name in ("web", "notes"):
        write_jsonl(folder / f"{name}.jsonl", sentences(200, seed=len(name)))
    for path in ("web.parquet", "web/0.parquet", "crawl/0.parquet", "crawl/1.parquet"):
        (folder / path).parent.mkdir(exist_ok=True)
        pl.DataFrame(rows).write_parquet(folder / path)
    pl.DataFrame({"id": range(200), "body": texts}).write_csv(folder / "tickets.csv")
    chats = [[{"role": "user", "content": "Say it."}, {"role": "assistant", "content": text}] for text in texts]
    (folder / "chat.jsonl").write_bytes(b"".join(orjson.dumps({"messages": chat}) + b"\n" for chat in chats))
    (folder / "models" / "mine").mkdir(parents=True)
    shutil.copy(TOKENIZER, folder / "models" / "mine")
    (folder / "chatml.jinja").write_text(CHATML, encoding="utf-8")


TOKENIZER = ROOT / "simtool" / "tokens" / "embedded" / "tokenizer.json"
QWEN = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B-Base")


def write_sweep(folder: Path) -> None:
    """A sweep, and results that a prediction is scored by."""
    write_sweep_tables(folder, ["web", "code", "math"], ["code"])
    (folder / "map.toml").write_text('web = "web.jsonl"\ncode = "notes.jsonl"\nmath = "manuals.jsonl.zst"\n')
    improvements = {"starcoder:0.2": 0.2, "math:0.12": 0.05}
    pl.DataFrame(
        {
            "mix": list(improvements),
            "target": "pycode",
            "relative_improvement": list(improvements.values()),
            "size": "410m",
        }
    ).write_csv(folder / "results.csv")


def write_sweep_tables(folder: Path, domains: list[str], targets: list[str]) -> None:
    """Forty runs, in which the weight of the domain before last lowers every loss."""
    weights = np.random.default_rng(0).dirichlet([0.5] * len(domains), 40).round(3)
    runs = {"run": [f"r{i}" for i in range(40)]}
    pl.DataFrame(runs | dict(zip(domains, weights.T, strict=True))).write_csv(folder / "ratios.csv")
    losses = {name: 4 - np.log(weights[:, -2] + 0.01) for name in targets}
    pl.DataFrame(runs | losses).write_csv(folder / "losses.csv")


@contextmanager
def no_hub(folder: Path):
    yield {}


@contextmanager
def with_datasets(folder: Path):
    """A hub that has GSM8K's main configuration."""
    rows = [with_words(find_corpus("gsm8k").example, words) for words in sentences(150)]
    files = {"README.md": card(main={"train": "train.jsonl"}), "train.jsonl": jsonl(rows)}
    with hub_server({"openai/gsm8k": files}) as (url, _):
        yield online(folder, url)


@contextmanager
def with_models(folder: Path):
    """A hub that has Qwen3's tokenizer (ours, by that name) and a chat template."""
    config = orjson.dumps({"chat_template": CHATML})
    files = {"tokenizer.json": TOKENIZER.read_bytes(), "tokenizer_config.json": config}
    with served({name: files for name in QWEN}) as url:
        yield online(folder, url)


def online(folder: Path, endpoint: str) -> dict[str, str]:
    return {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder.parent / "hf")}


HUBS = {"README": with_datasets, "corpus": with_datasets, "tokenizers": with_models}


@pytest.mark.parametrize("beginning", NOT_RUN)
def test_what_is_not_run_stands_on_a_page(beginning):
    assert any(command.startswith(beginning) for page in PAGES for command in commands_of(page))


@pytest.mark.parametrize("shown", [shown for shown, _ in SMALLER])
def test_what_is_made_smaller_stands_on_a_page(shown):
    assert any(shown in command for page in PAGES for command in commands_of(page))
