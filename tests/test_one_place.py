"""To add one thing, touch one place: a toy of each kind is added to a copy of the tree, and all of simtool knows it.

Each edit below is the whole of what an author writes. `one_place.py` then runs in the copy and says what came of it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# file: (the line before which a new entry goes, the entry)
EDITS = {
    "simtool/corpora/catalogue/midtrain.py": (
        "MIDTRAIN = (\n",
        """    Corpus(
        name="toy_talk",
        title="Toy talk",
        about="What robots say, for a test.",
        role="sft",
        licence="CC0",
        render=TextFields("say"),
        example={"say": "Beep."},
        source=None,
        files={"toy_talk": None},
        same_domain="math",
        n_examples=321,
        color="#123456",
        marker="*",
    ),
""",
    ),
    "simtool/similarity/metrics.py": (
        "METRICS = {\n    metric.name: metric\n    for metric in (\n",
        """        Metric(
            "toy_distance",
            "Half of what the shares differ by, for a test.",
            lambda p, q: np.minimum(np.abs(p - q).sum(axis=-1) / 2, 1),
            low=0,
            high=1,
            alike="low",
            identity=0,
            symmetric=True,
            source="this test",
        ),
""",
    ),
    "simtool/profiles/features.py": (
        "FEATURES = {\n    feature.name: feature\n    for feature in (\n",
        '        Feature("toy_pairs", "Pairs of characters in few buckets.", "char", 2, 1 << 10),\n',
    ),
    "simtool/training/sizes.py": ("SIZES = {\n", '    "toy": ModelSize(Shape(1, 12, 2), Defaults(7e-3, 64, 4)),\n'),
    "simtool/training/schedules.py": (
        "SCHEDULES: dict[str, Schedule] = {",
        '"toy_steps": lambda progress, *rest: 1.0 if progress < 0.5 else 0.25, ',
    ),
    "simtool/studies/presets.py": (
        "PRESETS: dict[str, Callable[[], Study]] = {\n",
        '    "toy-study": lambda: replace(quick(), name="toy-study", about="A test.", models=("toy",)),\n',
    ),
    "simtool/exports/exporters.py": (
        "EXPORTERS = {\n    exporter.name: exporter\n    for exporter in (\n",
        """        Exporter(
            "toy-trainer",
            "Weights of toys, for a test.",
            lambda request, path: path.write_text(str(request.mixture)),
            ".toy",
            "this test",
        ),
""",
    ),
    "simtool/prediction/predictors.py": (
        "PREDICTORS = {\n    predictor.name: predictor\n    for predictor in (\n",
        """        Predictor(
            "toy_guess",
            "Cross-entropy of tokens again, for a test.",
            "this test",
            functools.partial(witten_bell, "token"),
            ("token",),
        ),
""",
    ),
}
FILES = {
    "analyses/toy_question.py": '''"""How many toys are there?"""

import polars as pl


def make():
    """One row per toy."""
    return pl.DataFrame({"toy": ["robot", "ball"], "n": [2, 3]}), {"unit": "toys"}
''',
    "figures/toy_question.py": '''"""How many toys there are, as bars."""

from simtool.plots.panels import single_panel
from simtool.plots.style import SINGLE


def draw(toy_question):
    return single_panel(lambda table, axes: axes.barh(table["toy"], table["n"]), SINGLE, 1.5, toy_question)
''',
}
FILES["simtool/plots/toy_drawing.py"] = FILES["figures/toy_question.py"].replace(
    "How many", "What a command says of how many"
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> dict[str, dict]:
    """What simtool makes of the toys: {kind: {what: value}}."""
    pytest.importorskip("torch")  # a study's cost measures how fast this machine is
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("simtool", "analyses", "figures", "docs"):
        skipped = shutil.ignore_patterns("__pycache__", "out", "*.pythia.parquet")
        shutil.copytree(ROOT / folder, copy / folder, ignore=skipped)
    for name, (before, entry) in EDITS.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        (copy / name).write_text(text.replace(before, before + entry), encoding="utf-8")
    for name, text in FILES.items():
        (copy / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "one_place.py")],
        capture_output=True,
        text=True,
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads((copy / "outcome.json").read_text(encoding="utf-8"))


@pytest.fixture
def of(outcome):
    def of_kind(kind: str) -> dict:
        assert "error" not in outcome[kind], outcome[kind]["error"]
        return outcome[kind]

    return of_kind


def test_a_corpus(of):
    toy = of("corpus")
    assert "toy_talk" in toy["listed"]
    assert "What robots say, for a test." in toy["described"] and "Beep." in toy["described"]
    assert (toy["title"], toy["color"], toy["marker"]) == ("Toy talk", "#123456", "*")
    assert toy["pairs"] == [["math", "toy_talk"]]
    assert toy["documents"] == 40
    assert "toy_talk" in toy["matrix"]
    assert toy["unknown"].startswith("Unknown corpus 'toy_tolk'. Did you mean 'toy_talk'?")


def test_a_metric(of):
    toy = of("metric")
    assert "toy_distance" in toy["listed"] and "Half of what the shares differ by, for a test." in toy["listed"]
    assert "toy_distance on token. Mean" in toy["matrix"] and "Lower is more similar." in toy["matrix"]
    assert "by toy_distance on token" in toy["advantage"]
    assert toy["drawn"] is True
    assert "toy_distance.token" in toy["predictors"] and "toy_distance.skeleton2" in toy["predictors"]
    assert toy["unknown"].startswith("Unknown metric 'toy_distence'. Did you mean 'toy_distance'?")


def test_a_feature(of):
    toy = of("feature")
    assert toy["counted"] == sum(len(f"Beep number {i}, said the robot.") - 1 for i in range(40))
    assert "toy_talk" in toy["profiled"]
    assert "toy_pairs" in toy["matrix"]
    assert "cross_entropy.toy_pairs" in toy["predictors"] and "witten_bell.toy_pairs" in toy["predictors"]
    assert toy["unknown"].startswith("Unknown feature 'toy_pears'. Did you mean 'toy_pairs'?")


def test_a_model_size(of):
    toy = of("model_size")
    assert "toy," in toy["train"] and "toy," in toy["train_eval"]
    assert toy["defaults"] == {"learning_rate": 7e-3, "sequence_length": 64, "batch_size": 4}
    assert toy["parameters"] == 12 * 12**2 + 13 * 12 + 2 * 12  # one layer of width 12, and the last norm
    assert "toy" in toy["cost"]
    assert toy["unknown"].startswith("Unknown model 'toi'. Did you mean 'toy'?")


def test_a_schedule(of):
    toy = of("schedule")
    assert "toy_steps" in toy["train"]
    assert toy["multiplier"] == 0.25
    assert toy["phase"] == "toy_steps"
    assert toy["unknown"].startswith("Unknown schedule 'toy_stops'. Did you mean 'toy_steps'?")


def test_a_preset(of):
    toy = of("preset")
    assert "toy-study" in toy["help"]
    assert "toy-study" in toy["plan"]
    assert toy["unknown"].startswith("Unknown study 'toy-studi'. Did you mean 'toy-study'?")


def test_a_predictor(of):
    toy = of("predictor")
    assert toy["value"] > 0  # mathematics brings C4 closer to GSM8K
    assert toy["in_tournament"] is True
    assert toy["unknown"].startswith("Unknown predictor 'toy_gess'. Did you mean 'toy_guess'?")


def test_an_exporter(of):
    toy = of("exporter")
    assert toy["written"] == "c4:0.8+math:0.2"
    assert toy["facts"]["form"] == "toy-trainer" and toy["facts"]["documented"] == "this test"
    assert "toy-trainer" in toy["help"]
    assert toy["unknown"].startswith("Unknown export 'toy-trainr'. Did you mean 'toy-trainer'?")


def test_the_page_of_names_has_them_all(outcome):
    names = ("toy_talk", "toy_distance", "toy_pairs", "toy_guess", "toy-study", "toy", "toy_steps", "toy-trainer")
    assert [name for name in names if f"| `{name}` |" not in outcome["documented"]] == []


def test_an_analysis_and_a_figure(of):
    toy = of("analysis_and_figure")
    assert "toy_question" in toy["analyses"] and toy["facts"]["question"] == "How many toys are there?"
    assert toy["tables"] == ["toy_question"] and "toy_question" in toy["drawable"]
    assert "toy_drawing" in toy["commands"] and "toy_question" not in toy["commands"]
    pictures = [f"{name}.{ending}" for name in ("toy_drawing", "toy_question") for ending in ("pdf", "png", "svg")]
    assert toy["files"] == pictures
