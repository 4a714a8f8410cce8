"""A toy study, and the folder in which it is finished; tests copy it before they change it."""

import json
import random
import sys
from pathlib import Path

import pytest

from simtool.mixture import Mixture
from simtool.profiles.resolve import Options
from simtool.studies.plan import Study, arms_of

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

WORDS = {
    "web": ["the", "river", "runs", "by", "a", "quiet", "town", "where", "people", "walk", "and", "talk", "of", "rain"],
    "code": ["def", "return", "if", "else", "for", "in", "x", "y", "(", ")", ":", "=", "+", "1", "2", "0"],
    "tasks": ["what", "is", "x", "+", "y", "?", "answer", "1", "2", "3", "4", "5", "return"],
}


def write_texts(folder: Path) -> dict[str, str]:
    """{kind: path} of three corpora of 120 documents."""
    paths = {}
    for kind, words in WORDS.items():
        rng = random.Random(kind)
        path = folder / f"{kind}.jsonl"
        texts = [" ".join(rng.choices(words, k=rng.randint(10, 40))) + f" {i}" for i in range(120)]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        paths[kind] = str(path)
    return paths


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    names = write_texts(folder)
    pretrain = Mixture({names["web"]: 1.0})
    return Study(
        "toy", "Toys.", pretrain, arms_of(pretrain, [(names["code"], 0.5)], cpt=[names["code"]]), (names["tasks"],),
        dict.fromkeys(names.values()), models=("tiny",), seeds=(0, 1), tokens=12 * 4 * 32,
        sequence_length=32, batch_size=4, sft_batch_size=8, held_out=10, max_epochs=50, learning_rate={"tiny": 5e-3},
    )  # fmt: skip


@pytest.fixture(scope="session")
def options(tmp_path_factory):
    return Options(tokenizer="small", data=None, cache=tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="session")
def finished(study, options, tmp_path_factory):
    """The folder of the study, and the messages that came while it ran."""
    pytest.importorskip("torch")
    import toys  # noqa: F401  (brings the size "tiny")

    from simtool.studies.execute import StudyExecution, run_study

    folder, messages = tmp_path_factory.mktemp("finished"), []
    outcome = run_study(study, folder, options, StudyExecution("cpu", 1), messages.append)
    assert not outcome.failed and not outcome.skipped
    return folder, messages
