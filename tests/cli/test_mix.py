"""Which data to mix in, from the command line: results, notes, bad input."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.conftest import simtool

ROOT = Path(__file__).parents[2]
MID = (
    "--mid",
    "starcoder:0.2",
    "--mid",
    "math:0.12",
    "--mid",
    "flan:0.05",
    "--mid",
    "knowledgeqa:0.2",
    "--mid",
    "dclm:0.2",
)
TARGETS = ("--target", "pycode", "--target", "gsm8k", "--target", "lima", "--target", "sciq")


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_papers_question():
    done = simtool("advantage", "--paper", "--metric", "token", "--resamples", "100", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 20
    best = {row["target"]: row["mixture"] for row in rows if row["rank"] == "1"}
    assert (best["pycode"], best["gsm8k"]) == ("starcoder:0.2", "math:0.12")
    assert all(float(row["low"]) <= float(row["advantage"]) <= float(row["high"]) for row in rows)


def test_a_curve_begins_at_the_pretraining_corpus(tmp_path):
    done = simtool("advantage", "--curve", "starcoder", "--target", "pycode", "--resamples", "50", "--save", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pycode: closest at " in done.stdout
    rows = table_of(tmp_path / "advantage_curve.csv")
    assert (float(rows[0]["share"]), float(rows[0]["advantage"])) == (0.0, 0.0)
    assert float(rows[-1]["share"]) == 1.0  # continued pretraining
    assert (tmp_path / "advantage_curve.png").stat().st_size > 1000


def test_mix_keeps_its_floor_and_is_certified(tmp_path):
    done = simtool(
        "mix", "--pretrain", "c4", "--candidates", "starcoder", "math", "--target", "pycode", "--min-share", "c4=0.5",
        "--resamples", "20", "--save", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Binding: c4>=0.5" in done.stdout
    assert "Certified: for these samples, no mixture within the constraints is better by" in done.stdout
    assert "To train it:\n  simtool train --pretrain c4 --mid c4:0.5+starcoder:0." in done.stdout
    assert "is largest:\n  simtool advantage --pretrain c4 --curve starcoder --target pycode\n" in done.stdout
    rows = {row["corpus"]: float(row["share"]) for row in table_of(tmp_path / "mixture.csv")}
    assert rows["c4"] == pytest.approx(0.5)
    assert sum(rows.values()) == pytest.approx(1)
    assert (tmp_path / "mixture_frontier.svg").exists()


def test_mix_within_every_limit(tmp_path):
    done = simtool(
        "mix", "--candidates", "starcoder", "math", "flan", "--target", "pycode", "--target", "gsm8k:0.5",
        "--min-share", "c4=0.5", "--max-share", "math=0.1", "--mid-tokens", "2B", "--available", "starcoder=300M", "--max-epochs", "1",
        "--max-forgetting", "0.4", "--resamples", "20", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["corpus"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["c4"]["share"] >= 0.5 - 1e-9 and rows["math"]["share"] <= 0.1 + 1e-9
    assert rows["starcoder"]["share"] <= 0.15 + 1e-9  # 300M of 2B tokens, once


def test_predict_verify_explain_and_an_edit_is_noticed(tmp_path):
    path = tmp_path / "prediction.json"
    made = simtool("predict", *MID, *TARGETS, "--resamples", "50", "--out", path)
    assert made.returncode == 0, made.stderr
    results = ROOT / "analyses" / "tables" / "published_results.csv"
    scored = simtool("verify", path, results, "--size", "410m")
    assert scored.returncode == 0, scored.stderr
    assert "Size 410m: the prediction and the improvement correlate at Spearman's ρ = +0." in scored.stdout
    assert "The prediction is unedited" in scored.stdout
    told = simtool("explain", path, "--target", "pycode", "--top", "3")
    assert told.returncode == 0, told.stderr
    assert ". lower[4-5] (" in told.stdout  # a method call: what code adds to the skeleton of web pages
    missing = simtool("verify", path, results, "--size", "1b")
    assert missing.returncode == 2
    assert missing.stderr.startswith("simtool: The results lack 14 cells: starcoder:0.2 on lima at 1b; ")
    edited = json.loads(path.read_text())
    edited["cells"][0]["rank"] = 5
    path.write_text(json.dumps(edited))
    noticed = simtool("verify", path, results, "--size", "410m")
    assert noticed.returncode == 2
    assert "was edited after it was made" in noticed.stderr


def test_shares_of_bytes_are_shown_as_shares_of_tokens():
    asked = ("advantage", "--mid", "starcoder:0.2", "--target", "pycode", "--resamples", "20")
    told = simtool(*asked, "--unit", "bytes").stdout
    line = next(line for line in told.splitlines() if line.startswith("starcoder:0.2 = "))
    share = float(line.split(" = starcoder:")[1].split("+")[0])
    assert share > 0.21  # code has fewer bytes a token than web pages, so the same bytes are more tokens
    assert "starcoder:0.2 = " not in simtool(*asked).stdout  # shares of tokens are what the name says


def test_a_leak_is_said():
    done = simtool("advantage", "--mid", "gsm8k:0.1", "--target", "gsm8k", "--resamples", "20", "--metric", "js")
    assert "Leak: the target gsm8k is a part of the mixture gsm8k:0.1." in done.stdout


BAD = {
    "no share": (["advantage", "--mid", "math", "--target", "gsm8k"], "simtool: --mid math lacks a share."),
    "shares above 1": (
        ["advantage", "--mid", "math:1.2", "--target", "gsm8k"],
        "simtool: The shares of --mid math:1.2",
    ),
    "no target": (["advantage", "--mid", "math:0.2"], "simtool: Name at least one mixture (--mid) and one target"),
    "no candidate": (["mix", "--target", "gsm8k"], "simtool: Name at least one candidate (--candidates)"),
    "an infeasible floor": (
        ["mix", "--candidates", "math", "--target", "gsm8k", "--min-share", "c4=0.7", "--min-share", "math=0.6"],
        "simtool: The minimum shares c4>=0.7, math>=0.6 sum to 1.3, and the whole is 1.",
    ),
    "a floor that is none": (
        ["mix", "--candidates", "math", "--target", "gsm8k", "--min-share", "c4>0.5"],
        "simtool: --min-share 'c4>0.5' is not of the form NAME=VALUE.",
    ),
    "an amount below 1": (
        ["mix", "--candidates", "math", "--target", "gsm8k", "--mid-tokens", "2B", "--available", "math=-3"],
        "simtool: --available math=-3: '-3' is not an amount. Write 300k, 2M, 2B or a number.",
    ),
    "an unknown predictor": (
        ["predict", "--mid", "math:0.2", "--target", "gsm8k", "--predictor", "js.tokn", "--out", "x.json"],
        "simtool: Unknown predictor 'js.tokn'. Did you mean 'js.token'?",
    ),
    "a missing prediction": (["verify", "nowhere.json", "x.csv"], "simtool: Cannot read the prediction nowhere.json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_exit_code_2(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[name]
    done = simtool(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(message), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_results_that_are_no_numbers_are_one_message(tmp_path):
    prediction = tmp_path / "p.json"
    mid = ("--mid", "starcoder:0.2", "--mid", "math:0.1")
    done = simtool("predict", *mid, "--target", "pycode", "--out", prediction, "--resamples", "20")
    assert done.returncode == 0, done.stderr
    results = tmp_path / "r.csv"
    for values, message in (
        (("nan", "0.1"), "The results lack 1 cells: starcoder:0.2 on pycode. Where they say nan or inf, or nothing,"),
        (("7%", "0.1"), "The results hold what is no number in the column relative_improvement: '7%'."),
        (("0.1", "0.1"), "The results do not vary: the relative improvement is 0.1 in all 2 cells. There is nothing"),
        (None, f"Cannot read {results} as a table (csv, parquet): empty CSV."),
    ):
        rows = zip(("starcoder:0.2", "math:0.1"), values, strict=True) if values else ()
        lines = [f"{mix},pycode,{value}\n" for mix, value in rows]
        results.write_text("".join(["mix,target,relative_improvement\n", *lines]) if values else "")
        done = simtool("verify", prediction, results)
        assert done.returncode == 2 and done.stderr.startswith(f"simtool: {message}"), done.stderr


def test_a_mixture_is_handed_on(tmp_path):
    done = simtool("mix", "--mixture", "c4:0.8+starcoder:0.2", "--export", "megatron", "--out", tmp_path / "blend.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "blend.txt").read_text().split()[::2] == ["0.8", "0.2"]


def test_the_recommended_mixture_is_handed_on_as_text(tmp_path):
    for name, word in (("a", "red"), ("b", "blue"), ("t", "blue")):
        rows = [{"text": f"The {word} {word} stone number {n} of {name}.\n"} for n in range(200)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = simtool(
        "mix", tmp_path / "b.jsonl", "--pretrain", tmp_path / "a.jsonl", "--target", tmp_path / "t.jsonl", "--resamples", "20",
        "--min-share", f"{tmp_path / 'a.jsonl'}=0.5", "--export", "jsonl", "--out", tmp_path / "mix.jsonl", "--tokens", "1k",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of the tokens (50.00% asked for)" in done.stderr
    names = [json.loads(line)["corpus"] for line in (tmp_path / "mix.jsonl").read_text().splitlines()]
    assert names.count(str(tmp_path / "a.jsonl")) == pytest.approx(len(names) / 2, abs=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mixture", "c4", "--export", "trll"), "simtool: Unknown export 'trll'. Did you mean 'trl'?"),
        (("--mixture", "c4"), "simtool: Name the form to export to: --export trl, or jsonl for the mixed text itself."),
        (("--mixture", "c4", "--export", "jsonl"), "simtool: How many tokens? Say so: --tokens 10M."),
        (
            ("--prediction", "p.json", "--export", "trl"),
            "simtool: --prediction says where --mixture is from: name that one, too.",
        ),
    ],
)
def test_bad_exports_are_one_message(arguments, message):
    done = simtool("mix", *arguments)
    assert done.returncode == 2 and done.stderr.startswith(message), done.stderr
