"""The configurations of trainers: read by the trainers' own readers where these are installed (the extra `trainers`,
and axolotl without its dependencies), else held against the fields and types of the readers as their code has them."""

import json
import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from simtool.errors import SimtoolError
from simtool.exports.exporters import EXPORTERS


def written(request, form: str, tmp_path: Path) -> dict:
    """The configuration in a form, as YAML has it."""
    path = tmp_path / f"out{EXPORTERS[form].ending}"
    EXPORTERS[form].write(request, path)
    return yaml.safe_load(path.read_text())


def mix(corpora, **shares: float) -> str:
    return "+".join(f"{corpora.get(name, name)}:{share}" for name, share in shares.items())


def reader(module: str, name: str):
    """A class of a trainer; skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are not ours
        return getattr(pytest.importorskip(module, exc_type=ImportError), name)


@pytest.mark.parametrize("form", [name for name, entry in EXPORTERS.items() if entry.ending == ".yaml"])
def test_a_configuration_says_what_it_rests_on(form, corpora, request_of, tmp_path):
    EXPORTERS[form].write(request_of(mix(corpora, text=1.0)), tmp_path / "out.yaml")
    text = (tmp_path / "out.yaml").read_text()
    assert "# mixture sha256 ab12\n" in text
    assert f"# {corpora['text']}: {corpora['text']}; licence: yours\n" in text


def test_axolotl_takes_as_many_rows_as_come_to_the_share(corpora, request_of, tmp_path):
    request = request_of(mix(corpora, c4=0.5, chat=0.25, pair=0.25), tokens=2000)
    config = written(request, "axolotl", tmp_path)
    assert config["datasets"][0] == {
        "path": "allenai/c4",
        "name": "en",
        "split": f"train[:{round(1000 / request.lengths['c4'].tokens)}]",
        "type": "completion",
        "field": "text",
    }
    by_path = {entry["path"]: entry for entry in config["datasets"]}
    assert by_path[corpora["chat"]]["type"] == "chat_template" and by_path[corpora["chat"]]["ds_type"] == "json"
    assert by_path[corpora["pair"]]["type"]["field_instruction"] == "question"


def test_axolotl_repeats_a_small_corpus(corpora, request_of, tmp_path):
    request = request_of(mix(corpora, pair=1.0), tokens=1000)
    length = request.lengths[corpora["pair"]]
    slices = [entry["split"] for entry in written(request, "axolotl", tmp_path)["datasets"]]
    passes, rest = divmod(round(1000 / length.tokens), 40)
    assert passes >= 1 and slices == ["train[:40]"] * passes + [f"train[:{rest}]"] * bool(rest)
    with pytest.raises(SimtoolError, match="above --max-epochs 1"):
        written(request_of(mix(corpora, pair=1.0), tokens=1000, max_epochs=1), "axolotl", tmp_path)


def test_axolotl_reads_it(corpora, request_of, tmp_path):
    SFTDataset = reader("axolotl.utils.schemas.datasets", "SFTDataset")
    config = written(request_of(mix(corpora, c4=0.5, chat=0.25, pair=0.25)), "axolotl", tmp_path)
    for entry in config["datasets"]:
        assert set(entry) <= set(SFTDataset.model_fields)
        read = SFTDataset(**entry)
        assert (read.path, read.split) == (entry["path"], entry["split"])


def test_trl_gets_shares_of_rows(corpora, request_of, tmp_path):
    request = request_of(mix(corpora, text=0.5, c4=0.5), tokens=None)
    entries = written(request, "trl", tmp_path)["datasets"]
    rows = [0.5 / request.lengths[name].tokens for name in (corpora["text"], "c4")]
    assert [entry["fraction"] for entry in entries] == pytest.approx([n / sum(rows) for n in rows], abs=1e-6)
    assert entries[0]["path"] == "json" and entries[0]["data_files"] == [corpora["text"]]


def test_trl_cannot_mix_layouts(corpora, request_of, tmp_path):
    for name in (mix(corpora, text=0.5, chat=0.5), mix(corpora, text=0.5, body=0.5), mix(corpora, pair=1.0)):
        with pytest.raises(SimtoolError, match="TRL reads one text field"):
            written(request_of(name), "trl", tmp_path)


def test_trl_reads_and_mixes_it(corpora, request_of, tmp_path, monkeypatch):
    DatasetMixtureConfig, get_dataset = (
        reader("trl.scripts.utils", name) for name in ("DatasetMixtureConfig", "get_dataset")
    )
    other = Path(corpora["text"]).with_name("more.jsonl")
    other.write_text("".join(json.dumps({"text": f"Row {n} of more."}) + "\n" for n in range(200)))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    request = request_of(mix({**corpora, "more": str(other)}, text=0.5, more=0.5))
    mixed = get_dataset(DatasetMixtureConfig(datasets=written(request, "trl", tmp_path)["datasets"]))["train"]
    texts = mixed["text"]
    n_more = sum("of more" in text for text in texts)
    assert n_more / len(texts) == pytest.approx(request.row_shares[1], abs=0.02)
    # and of the tokens both have half
    tokens = [request.lengths[name].tokens for name in (corpora["text"], str(other))]
    assert n_more * tokens[1] / (n_more * tokens[1] + (len(texts) - n_more) * tokens[0]) == pytest.approx(0.5, abs=0.05)


def test_olmo_core_reads_it(corpora, request_of, tmp_path):
    SourceMixtureList = reader("olmo_core.data.source_mixture", "SourceMixtureList")
    request_of_c4 = request_of("c4:0.8+starcoder:0.2", tokens=None, max_epochs=2.0)
    EXPORTERS["olmo-core"].write(request_of_c4, tmp_path / "out.yaml")
    read = SourceMixtureList.from_yaml(tmp_path / "out.yaml")
    read.validate()
    assert [(source.source_name, source.target_ratio, source.max_repetition_ratio) for source in read.sources] == [
        ("c4", 0.8, 2.0),
        ("starcoder", 0.2, 2.0),
    ]


def test_olmo_core_sources(request_of, tmp_path):
    config = written(request_of("c4:0.8+starcoder:0.2", tokens=None), "olmo-core", tmp_path)
    fields = {"source_name": str, "target_ratio": float, "paths": list, "max_repetition_ratio": float}
    for source in config["sources"]:
        assert {name: type(value) for name, value in source.items()} == fields
    assert config["sources"][0]["paths"] == ["data/c4/*.npy"]


def test_nanotron_weighs_folders(request_of, tmp_path):
    config = written(request_of("c4:0.8+allenai/tulu-3-sft-mixture:0.2", tokens=None, seed=3), "nanotron", tmp_path)
    (stage,) = config["data_stages"]
    assert stage["start_training_step"] == 1 and stage["data"]["seed"] == 3
    assert stage["data"]["dataset"] == {
        "dataset_folder": ["data/c4", "data/allenai_tulu-3-sft-mixture"],
        "dataset_weights": [0.8, 0.2],
    }


def test_a_published_mixture_is_handed_on(request_of, tmp_path):
    config = written(request_of("smollm3-stage1", tokens=None), "nanotron", tmp_path)
    dataset = config["data_stages"][0]["data"]["dataset"]
    weights = dict(zip(dataset["dataset_folder"], dataset["dataset_weights"], strict=True))
    assert weights["data/epfml_FineWeb2-HQ_fra_Latn"] == 0.016 and weights["data/the_stack_v2"] == pytest.approx(0.125)
    assert "data/the_stack_v2 from Ids only, and gated" in (tmp_path / "out.yaml").read_text()


def test_levanter_tokenizes_itself(corpora, request_of, tmp_path):
    data = written(request_of(mix(corpora, c4=0.5, chat=0.3, pair=0.2), tokens=None), "levanter", tmp_path)["data"]
    assert set(data["configs"]) == set(data["train_weights"]) and sum(data["train_weights"].values()) == pytest.approx(
        1
    )
    assert data["configs"]["c4"] == {"id": "allenai/c4", "name": "en", "format": {"type": "text", "text_key": "text"}}
    assert data["configs"][corpora["chat"]] == {
        "train_urls": [corpora["chat"]],
        "format": {"type": "chat", "messages_field": "messages"},
    }
    assert data["configs"][corpora["pair"]]["format"]["input_field"] == "question"


def test_megatron_reads_pairs_of_words(request_of, tmp_path):
    EXPORTERS["megatron"].write(request_of("c4:0.8+starcoder:0.2", tokens=None), tmp_path / "blend.txt")
    words = (tmp_path / "blend.txt").read_text().split()
    assert words == ["0.8", "data/c4_text_document", "0.2", "data/starcoder_text_document"]


def test_litgpt_gets_a_file_per_document(corpora, request_of, tmp_path):
    request = request_of(mix(corpora, text=0.5, body=0.5), tokens=500)
    data = written(request, "litgpt", tmp_path)["data"]
    assert data["class_path"] == "litgpt.data.TextFiles"
    files = sorted(Path(data["init_args"]["train_data_path"]).glob("*.txt"))
    assert [file.read_text() for file in files] == [document.text for document in request.sample.documents]
    with pytest.raises(SimtoolError, match="is not empty"):
        written(request, "litgpt", tmp_path)


def test_litgpt_masks_prompts(corpora, request_of, tmp_path):
    data = written(request_of(mix(corpora, pair=1.0), tokens=100), "litgpt", tmp_path)["data"]
    assert data["class_path"] == "litgpt.data.JSON" and data["init_args"]["mask_prompt"] is True
    rows = json.loads(Path(data["init_args"]["json_path"]).read_text())
    assert set(rows[0]) == {"instruction", "input", "output"} and rows[0]["output"].startswith("It is ")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_the_same_seed_gives_the_same_bytes(form, corpora, request_of, tmp_path):
    contents = []
    for n, seed in enumerate((7, 7, 8)):
        path = tmp_path / f"{n}.{form}"
        EXPORTERS[form].write(request_of(mix(corpora, text=0.6, chat=0.4), tokens=800, seed=seed), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_parquet_has_the_rows_of_jsonl(corpora, request_of, tmp_path):
    request = request_of(mix(corpora, text=0.6, chat=0.4), tokens=800)
    EXPORTERS["jsonl"].write(request, tmp_path / "a.jsonl")
    EXPORTERS["parquet"].write(request, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.to_pylist() == [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert json.loads(table.schema.metadata[b"simtool"])["basis"]["content_sha256"] == "ab12"


def test_text_needs_a_length(corpora, request_of, tmp_path):
    for form in ("jsonl", "axolotl"):
        with pytest.raises(SimtoolError, match="How many tokens"):
            EXPORTERS[form].write(request_of(mix(corpora, text=1.0), tokens=None), tmp_path / "x")
