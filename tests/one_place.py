"""Run in a copy of the tree that has a toy of each kind: prints, as JSON, what simtool makes of them."""

import json
import runpy
from dataclasses import asdict
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import simtool
from simtool.cli import app

# rich fits a table to the width of the terminal
RUNNER = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"})


def shown(*arguments: str) -> str:
    """What a command prints."""
    result = RUNNER.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def message_of(action) -> str:
    """The message that a call fails with."""
    try:
        action()
    except simtool.errors.SimtoolError as error:
        return str(error)
    return ""


def corpus() -> dict:
    from simtool.corpora.catalogue import find_corpus, same_domain_pairs
    from simtool.plots.style import color_of, marker_of, title_of
    from simtool.profiles.count import count_corpus
    from simtool.profiles.resolve import Options, local_text
    from simtool.tokens.tokenizer import load_tokenizer

    folder = Path("data")
    folder.mkdir()
    rows = [{"say": f"Beep number {i}, said the robot."} for i in range(40)]
    (folder / "toy_talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = local_text("toy_talk", Options(data=folder))
    return {
        "listed": shown("corpora"),
        "described": shown("corpora", "toy_talk"),
        "title": title_of("toy_talk"),
        "color": color_of("toy_talk"),
        "marker": marker_of("toy_talk"),
        "pairs": same_domain_pairs(["math"], ["toy_talk"]),
        "unknown": message_of(lambda: find_corpus("toy_tolk")),
        "documents": count_corpus(text, load_tokenizer("default"), ("token",)).size["documents"],
        "matrix": shown("matrix", "toy_talk", "c4", "--resamples", "20", "--data", "data"),
    }


def metric() -> dict:
    from simtool.prediction.predictors import PREDICTORS
    from simtool.similarity.metrics import find_metric

    result = simtool.matrix(["c4", "gsm8k"], metric="toy_distance", resamples=20)
    return {
        "listed": shown("metrics"),
        "matrix": shown("matrix", "c4", "gsm8k", "--metric", "toy_distance", "--resamples", "20"),
        "advantage": shown(
            *("advantage", "--mid", "math:0.2", "--target", "gsm8k", "--metric", "toy_distance"),
            *("--feature", "token", "--resamples", "20"),
        ),
        "drawn": result.plot()._repr_png_().startswith(b"\x89PNG"),
        "unknown": message_of(lambda: find_metric("toy_distence")),
        "predictors": [name for name in PREDICTORS if name.startswith("toy_distance.")],
    }


def feature() -> dict:
    from simtool.prediction.predictors import PREDICTORS
    from simtool.profiles.count import count_corpus
    from simtool.profiles.features import find_feature
    from simtool.profiles.resolve import Options, local_text
    from simtool.tokens.tokenizer import load_tokenizer

    profile = count_corpus(
        local_text("toy_talk", Options(data=Path("data"))), load_tokenizer("default"), ("toy_pairs",)
    )
    return {
        "counted": int(np.sum(profile.features["toy_pairs"])),
        "profiled": shown("profile", "toy_talk", "--data", "data"),
        "matrix": shown(
            *("matrix", "toy_talk", "data/toy_talk.jsonl", "--text-field", "say", "--feature", "toy_pairs"),
            *("--resamples", "20", "--data", "data"),
        ),
        "unknown": message_of(lambda: find_feature("toy_pears")),
        "predictors": [name for name in PREDICTORS if name.endswith(".toy_pairs")],
    }


def model_size() -> dict:
    from simtool.training.sizes import SIZES, find_defaults

    return {
        "train": shown("train", "--help"),
        "train_eval": shown("train-eval", "--help"),
        "defaults": asdict(find_defaults("toy")),
        "parameters": SIZES["toy"].shape.n_parameters,
        "unknown": message_of(lambda: find_defaults("toi")),
        "cost": shown("train-eval", "toy-study", "--plan"),
    }


def schedule() -> dict:
    from simtool.training.recipes import Phase
    from simtool.training.schedules import find_schedule, share_of_peak

    return {
        "train": shown("train", "--help"),
        "multiplier": share_of_peak("toy_steps", 0.75, 0.0, 0.1, 0.2),
        "phase": Phase("pretrain", simtool.mixture.Mixture({"c4": 1.0}), 10, 1e-3, schedule="toy_steps").schedule,
        "unknown": message_of(lambda: find_schedule("toy_stops")),
    }


def preset() -> dict:
    from simtool.studies.presets import find_preset

    return {
        "help": shown("train-eval", "--help"),
        "plan": shown("train-eval", "toy-study", "--plan"),
        "unknown": message_of(lambda: find_preset("toy-studi")),
    }


def predictor() -> dict:
    from simtool.mixture import Mixture, blend
    from simtool.prediction.predictors import benefits, find_predictor
    from simtool.prediction.question import Question
    from simtool.profiles.resolve import shipped
    from simtool.tokens.tokenizer import load_tokenizer

    profiles = {name: shipped(name, load_tokenizer("default"), ["token"]) for name in ("c4", "math", "gsm8k")}
    c4 = Mixture({"c4": 1.0})
    mixtures = {"math:0.2": blend(c4, Mixture({"math": 1.0}), 0.2)}
    question = Question(profiles, c4, mixtures, ("gsm8k",), resamples=20)
    from analyses.predictor_tournament import of_profiles

    return {
        "value": float(benefits(["toy_guess"], question)["toy_guess"].value[0, 0]),
        "in_tournament": "toy_guess" in of_profiles(),
        "unknown": message_of(lambda: find_predictor("toy_gess")),
    }


def exporter() -> dict:
    from simtool.exports.export import find_exporter

    shown("mix", "--mixture", "c4:0.8+math:0.2", "--export", "toy-trainer", "--out", "mix.toy")
    return {
        "written": Path("mix.toy").read_text(),
        "facts": json.loads(Path("mix.json").read_text()),
        "help": shown("mix", "--help"),
        "unknown": message_of(lambda: find_exporter("toy-trainr")),
    }


def analysis_and_figure() -> dict:
    from analyses.__main__ import main as analyze
    from analyses.__main__ import names
    from figures import ALL_FIGURES
    from figures.__main__ import main as draw
    from simtool.plots import COMMAND_FIGURES

    analyze(["toy_question"], None, Path("tables"))
    draw(["toy_question", "--tables", "tables", "--out", "out"])
    shown("figures", "toy_drawing", "--tables", "tables", "--out", "out")
    return {
        "analyses": names(),
        "facts": json.loads(Path("tables/toy_question.json").read_text()),
        "figures": ALL_FIGURES.names(),
        "tables": ALL_FIGURES.tables_of("toy_question"),
        "drawable": ALL_FIGURES.drawable(Path("tables")),
        "commands": COMMAND_FIGURES.names(),
        "files": sorted(path.name for path in Path("out").iterdir()),
    }


if __name__ == "__main__":
    import simtool.errors
    import simtool.mixture

    kinds = (corpus, metric, feature, model_size, schedule, preset, predictor, exporter, analysis_and_figure)
    outcome = {}
    for kind in kinds:
        try:
            outcome[kind.__name__] = kind()
        except Exception as error:
            import traceback

            outcome[kind.__name__] = {"error": "".join(traceback.format_exception(error))}
    outcome["documented"] = runpy.run_path("docs/catalogue.py")["page"]()
    Path("outcome.json").write_text(json.dumps(outcome, default=str))
