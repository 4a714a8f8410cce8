"""Every kind of file that simtool writes and reads again, small, with a command that reads each.

To add a kind, name its files and the command in KINDS; where they do not exist yet, make them in `make_workspace`.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.injection import run_here

WORDS = ["the", "a", "of", "to", "and", "in", "is", "on", "for", "with", "red", "blue", "green", "river", "stone"]


@dataclass(frozen=True)
class Kind:
    """A kind of our files.

    pattern   glob of its files in the workspace
    command   reads them, from the workspace's folder on
    results   glob of files that belong to what the command says, beside what it prints
    maker     of MAKERS: the command that makes the files, and needs torch; "": none needs be trained
    """

    pattern: str
    command: tuple[str, ...]
    results: str = ""
    maker: str = ""


STUDY = ("train-eval", "--pretrain", "a.jsonl", "--mid", "b.jsonl:0.5", "--target", "chats.jsonl#question->answer")
STUDY += ("--train-tokens", "20k", "--seeds", "2", "--workers", "1", "--device", "cpu", "--out", "study")
RUN = ("train", "--pretrain", "a.jsonl", "--pretrain-tokens", "2k", "--sequence-length", "64", "--batch-size", "8")
RUN += ("--sft", "chats.jsonl#question->answer", "--sft-epochs", "1", "--device", "cpu")
RUN += ("--stores", "stores", "--format", "csv", "--out")
TRAINED = (*RUN, "run", "--evaluate-documents", "5")
SWEPT = (*RUN, "sweep", "--sft-learning-rate", "1e-3", "--sft-learning-rate", "1e-4")
MAKERS = {"run": TRAINED, "sweep": SWEPT, "study": STUDY}
KINDS = {
    "profile": Kind(
        "cache/profiles/*.parquet", ("matrix", "a.jsonl", "b.jsonl", "--resamples", "20", "--format", "csv")
    ),
    "part of a profile": Kind("parts/**/*.*", ("profile", "--merge", "parts")),
    "table": Kind(
        "tables/*.*", ("figures", "similarity_matrix", "--tables", "tables", "--out", "pictures"), "pictures/*.svg"
    ),
    "prediction": Kind("prediction.json", ("verify", "prediction.json", "results.csv", "--format", "csv")),
    "explained prediction": Kind("prediction.json", ("explain", "prediction.json", "--format", "csv")),
    "store": Kind("stores/*/*/*", TRAINED, "run/losses.jsonl", "run"),
    "run": Kind("run/*.*", TRAINED, "run/losses.jsonl", "run"),
    "losses": Kind("run/losses/*.npz", TRAINED, "run/losses.jsonl", "run"),
    "checkpoint": Kind("run/checkpoints/*/*", TRAINED, "run/losses.jsonl", "run"),
    "exported checkpoint": Kind("run/checkpoints/*/*", ("export", "run", "exported"), "exported/*", "run"),
    "sweep": Kind("sweep/sweep.jsonl", ("export", "sweep", "exported"), "exported/*", "sweep"),
    "study": Kind("study/*.json*", ("results", "study", "--format", "csv"), "", "study"),
    "losses of a study": Kind("study/runs/*/losses/*.npz", ("results", "study", "--format", "csv"), "", "study"),
    "study that goes on": Kind("study/*.json*", STUDY, "study/records.jsonl", "study"),
    "runs of a study": Kind("study/runs/*/*.json*", STUDY, "study/records.jsonl", "study"),
    "ids of a study": Kind("study/stores/*/*/*", STUDY, "study/records.jsonl", "study"),
}


def make_workspace(folder: Path, makers: Iterable[str] = ()) -> None:
    """Texts and files of our own, in this folder, which becomes the working folder."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ.update(SIMTOOL_CACHE=str(folder / "cache"), HF_HUB_OFFLINE="1", COLUMNS="200")
    os.environ.pop("SIMTOOL_DATA", None)
    write_texts(folder)
    run_well("matrix", "a.jsonl", "b.jsonl", "--resamples", "20", "--save", "tables")
    for part in ("0/2", "1/2"):
        run_well("profile", "a.jsonl", "--feature", "token", "--part", part, "--parts", "parts")
    mids = ("--mid", "b.jsonl:0.5", "--mid", "c.jsonl:0.5", "--target", "c.jsonl", "--target", "b.jsonl")
    run_well("predict", "--pretrain", "a.jsonl", *mids, "--resamples", "20", "--out", "prediction.json")
    gains = {"b.jsonl:0.5": (0.01, 0.03), "c.jsonl:0.5": (0.02, 0.015)}
    rows = [
        f"{mix},{target}.jsonl,{gain}" for mix, row in gains.items() for target, gain in zip("bc", row, strict=True)
    ]
    Path("results.csv").write_text("\n".join(["mix,target,relative_improvement", *rows]) + "\n")
    for maker in sorted(set(makers)):
        run_well(*MAKERS[maker])


def write_texts(folder: Path, n_documents: int = 600) -> None:
    """Three texts, a.jsonl to c.jsonl, and some chats."""
    for n, name in enumerate("abc"):
        rng = Random(n)
        texts = [" ".join(rng.choices(WORDS[4 * n :], k=rng.randint(20, 80))) + f" {i}." for i in range(n_documents)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    rng = Random(9)
    rows = [{"question": " ".join(rng.choices(WORDS, k=12)) + f" {i}?", "answer": f"{i} stones."} for i in range(200)]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_well(*command: str) -> None:
    """A command that must succeed."""
    answer = run_here(command, 600)
    if answer.code != 0:
        raise AssertionError(f"simtool {' '.join(command)}: {answer.place or answer.err}")


def content_of(folder: Path, pattern: str, clean: Callable[[str], str]) -> str:
    """The files of a pattern as one text; what `clean` takes out does not count, nor the order of lines of JSON."""
    paths = sorted(folder.glob(pattern)) if pattern else []
    texts = {path.name: path.read_bytes().decode("latin-1") for path in paths}
    for name, text in texts.items():
        if name.endswith(".jsonl"):
            texts[name] = "\n".join(sorted(text.splitlines()))
    return clean("\n".join(f"{name}\n{text}" for name, text in texts.items()))
