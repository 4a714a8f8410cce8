"""From records to tables of losses, and what a model of token frequencies alone would have."""

import json
import math
import shutil

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch")

from simtool.api.study import lost_records
from simtool.errors import SimtoolError
from simtool.studies.conclusions import analyze, regime_sentences
from simtool.studies.losses import (
    _by_tokens,
    at_best_rate,
    filter_records,
    load_records,
    losses,
    n_unrecorded,
    unigram_entropies,
    unigram_entropy,
)
from simtool.studies.prepare import tokenize_texts
from simtool.tables import save_json


def test_the_entropy_of_token_frequencies_by_hand():
    # shares 1/2, 1/4, 1/4: ln 2 / 2 + 2 ln 4 / 4 = 1.5 ln 2
    assert unigram_entropy(np.array([7, 7, 0, 3], np.uint16)) == pytest.approx(1.5 * math.log(2))


def test_the_unigram_entropy_stands_beside_the_general_loss(study, finished):
    folder, _ = finished
    unigram = unigram_entropies(study, folder)
    (web,) = study.general
    assert unigram == {web: unigram_entropy(tokenize_texts(study, folder, None)[web]["train"].ids)}
    table = losses(load_records(folder), unigram)
    assert table.height == 6 and set(table["general_unigram"]) == {unigram[web]}
    assert losses(load_records(folder), {})["general_unigram"].null_count() == 6


def test_without_ids_it_is_not_known(study, tmp_path):
    (tmp_path / "prepared.json").write_text(json.dumps({"tokenizer_fingerprint": "f" * 16}))
    assert unigram_entropies(study, tmp_path) == {}


@pytest.mark.parametrize(
    ("unigram", "sentence"),
    [
        (6.0, "1.00 below the unigram entropy of that text (6.00): these models use context."),
        (4.5, "0.50 above the unigram entropy of that text (4.50): these models know little more than how frequent each"
         " token is, and the effects below are effects on that."),
        (None, None),
    ],
)  # fmt: skip
def test_what_the_models_have_learnt_is_said(unigram, sentence):
    import polars as pl

    rows = [
        {"size": "nano", "kind": kind, "general_before": loss, "general_unigram": unigram}
        for kind, loss in (("control", 4.9), ("control", 5.1), ("midtrain", 9.0))
    ]
    table = pl.DataFrame(rows, schema_overrides={"general_unigram": pl.Float64})
    before = "nano: before SFT the control's loss on general text is 5.00 nats per token, "
    assert regime_sentences(table) == ([before + sentence] if sentence else [])


def test_a_study_of_trunks_only_has_no_conclusions_yet(study, finished, tmp_path):
    for name in ("study.json", "prediction.json", "prepared.json"):
        (tmp_path / name).write_bytes((finished[0] / name).read_bytes())
    lines = (finished[0] / "records.jsonl").read_text().splitlines()
    trunks = [line for line in lines if json.loads(line)["phase"] == "pretrain"]
    (tmp_path / "records.jsonl").write_text("\n".join(trunks) + "\n")
    with pytest.raises(SimtoolError, match=r"^No arm and its control are done on any target yet\."):
        analyze(tmp_path)


def test_rows_are_filtered_by_the_values_that_exist(finished):
    table = load_records(finished[0])
    assert set(filter_records(table, {"phase": "sft", "seed": None})["phase"]) == {"sft"}
    with pytest.raises(SimtoolError) as error:
        filter_records(table, {"phase": "rl"})
    assert str(error.value) == "No rows with phase 'rl'. There are: midtrain, pretrain, sft."


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_lines_of_records_that_were_lost_are_counted(finished, tmp_path, lost):
    folder = tmp_path / "study"
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns("stores", "checkpoints"))
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[lost:]))
    assert n_unrecorded(folder) == lost
    done = sorted((folder / "runs").glob("*/done.json"))
    done[0].write_text("damaged: it will be measured again")
    assert n_unrecorded(folder) <= lost
    (folder / "prepared.json").unlink()
    assert n_unrecorded(folder) == 0, "nothing ran yet"


def test_lost_records_are_said_beside_results(finished, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns("stores", "checkpoints"))
    path = folder / "records.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    hint = lost_records(folder)
    assert hint.startswith(f"2 measurements of finished runs are missing in {path}: its lines were lost,")
    assert lost_records(finished[0]) == ""


def test_lines_lost_of_runs_that_lie_elsewhere_are_counted_where_the_study_surely_had_them(finished, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns("stores", "checkpoints"))
    (folder / "runs").rename(tmp_path / "elsewhere")
    save_json({"runs": str(tmp_path / "elsewhere")}, folder / "place.json")
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    trunks = [row["phase"] == "pretrain" for row in rows]
    assert 0 < sum(trunks) < len(rows)
    path.write_text("".join(line for line, is_trunk in zip(lines, trunks, strict=True) if not is_trunk))
    assert n_unrecorded(folder) == sum(trunks), "what goes on from them is recorded"
    leaf = next(row["node"] for row in rows if row["phase"] == "sft")
    of_leaf = [line for line, row in zip(lines, rows, strict=True) if row["node"] == leaf]
    path.write_text("".join(line for line in lines if line not in of_leaf[1:]))
    assert n_unrecorded(folder) == len(of_leaf) - 1 > 0
    path.write_text("".join(line for line in lines if line not in of_leaf))
    assert n_unrecorded(folder) == 0, "another study may be ahead"


def sft_rows(split: str, nats: dict[float, dict[str, float]]) -> list[dict]:
    common = {"phase": "sft", "role": "target", "split": split, "size": "nano", "target": "t"}
    return [
        {**common, "kind": kind, "learning_rate": rate, "nats_per_token": loss}
        for rate, by_kind in nats.items()
        for kind, loss in by_kind.items()
    ]


def test_a_rate_is_chosen_on_the_selection_split_over_all_arms():
    selecting = {1e-3: {"control": 2.0, "midtrain": 1.5}, 1e-4: {"control": 1.0, "midtrain": 1.6}}  # 1.75 and 1.3
    reported = {1e-3: {"control": 1.0, "midtrain": 1.0}, 1e-4: {"control": 3.0, "midtrain": 3.0}}  # not to be looked at
    table = pl.DataFrame(sft_rows("validation", selecting) + sft_rows("test", reported))
    best = at_best_rate(table)
    assert set(best["learning_rate"]) == {1e-4} and best.height == 4


def test_general_corpora_count_by_their_tokens():
    rows = pl.DataFrame({"arm": ["a", "a"], "nats_per_token": [1.0, 4.0], "n_tokens": [300, 100]})
    assert _by_tokens(rows, ["arm"])["loss"].to_list() == [(300 * 1 + 100 * 4) / 400]
