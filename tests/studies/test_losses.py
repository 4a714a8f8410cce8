"""From records to tables of losses, and what a model of token frequencies alone would have."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.studies.conclusions import analyze, regime_sentences
from simtool.studies.losses import filter_records, load_records, losses, unigram_entropies, unigram_entropy
from simtool.studies.prepare import tokenize_texts


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
