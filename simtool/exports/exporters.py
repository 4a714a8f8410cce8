"""Every form that a mixture is handed on in: the data configurations of trainers, and the mixed text itself.

To add one, write a function that writes it to a path, and name it in `EXPORTERS` with where its form is documented.
Trainers that mix rows get shares of rows, from the mean length of each corpus's documents; those that mix tokenized
files get shares of tokens and the paths that these files are to lie under, each with the text it is made from.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.tables import atomic_write
from simtool.version import __version__

if TYPE_CHECKING:  # so that `--help` names them quickly
    from simtool.exports.ingredients import Ingredient
    from simtool.exports.request import ExportRequest


# ---- configurations of trainers --------------------------------------------------------------------------


def axolotl(request: "ExportRequest", path: Path) -> None:
    """`datasets` of axolotl, which concatenates: as many rows of each as come to its share, small ones several times.

    axolotl-ai-cloud/axolotl, src/axolotl/utils/schemas/datasets.py (SFTDataset); slices of a split are read as
    `datasets` does (utils/data/shared.py). `pretraining_dataset` cannot mix: only its first entry is read
    (utils/data/sft.py).
    """
    entries = [_axolotl_entry(part, n) for part in request.ingredients for n in request.n_rows(part)]
    _save_yaml(request, path, {"datasets": entries, "shuffle_merged_datasets": True})


def _axolotl_entry(part: "Ingredient", n_rows: int) -> dict[str, Any]:
    names = part.fields.names
    read: dict[str, Any]
    match part.fields.kind:
        case "text":
            read = {"type": "completion", "field": names[0]}
        case "chat":
            mapping = dict(zip(("role", "content"), part.fields.turn, strict=True))
            read = {"type": "chat_template", "field_messages": names[0], "message_property_mappings": mapping}
        case "pair":
            form = "{instruction}\n"  # simtool's own: the response follows the prompt after a newline
            entry = {"field_instruction": names[0], "field_output": names[1], "format": form, "no_input_format": form}
            read = {"type": entry}
    return {**_located(part), "split": f"{_split(part)}[:{n_rows}]", **read}


def _located(part: "Ingredient") -> dict[str, Any]:
    """Where a corpus lies, as axolotl says it: a repository, a file, or a folder and files of it."""
    if part.hub:
        return _on_hub(part)
    if len(part.files) == 1:
        return {"path": part.files[0], "ds_type": part.loader}
    return {"path": str(Path(part.paths[0]).parent), "data_files": list(part.files), "ds_type": part.loader}


def _on_hub(part: "Ingredient") -> dict[str, Any]:
    assert part.hub is not None
    named = {"name": part.hub.config, "revision": part.hub.revision, "data_files": list(part.hub.data_files)}
    return {"path": part.hub.repo} | {key: value for key, value in named.items() if value}


def _split(part: "Ingredient") -> str:
    return part.hub.split if part.hub else "train"


def trl(request: "ExportRequest", path: Path) -> None:
    """`datasets` of TRL's command line, each with its fraction of the rows of the mixture.

    huggingface/trl, trl/scripts/utils.py (DatasetMixtureConfig; `fraction` since TRL 1.8 at the latest). Rows are
    concatenated, so all corpora must have the same fields; the mixture is as large as the scarcest allows.
    """
    layouts = {(part.fields.kind, part.fields.names, part.fields.turn) for part in request.ingredients}
    kind, names, turn = next(iter(layouts))
    known = kind == "text" or (names, turn) in ((("messages",), ("role", "content")), (("prompt", "completion"), turn))
    if len(layouts) > 1 or not known:
        shown = "; ".join(f"{part.name}: {', '.join(part.fields.names)}" for part in request.ingredients)
        from simtool.exports.ingredients import WRITE_SAMPLE

        raise SimtoolError(
            f"TRL reads one text field, messages, or prompt and completion, the same of all corpora. Here: {shown}.\n"
            + WRITE_SAMPLE
        )
    rows = zip(request.ingredients, request.row_shares, strict=True)
    entries = [
        {**_loaded(part), "split": _split(part), "columns": list(names), "fraction": round(share, 6)}
        for part, share in rows
    ]
    _save_yaml(request, path, {"datasets": entries, **({"dataset_text_field": names[0]} if kind == "text" else {})})


def _loaded(part: "Ingredient") -> dict[str, Any]:
    """Where a corpus lies, as `datasets.load_dataset` takes it."""
    if not part.hub:
        return {"path": part.loader, "data_files": list(part.paths)}
    entry = _on_hub(part)
    entry.pop("revision", None)  # TRL has no such field
    return entry


def litgpt(request: "ExportRequest", path: Path) -> None:
    """`data` of LitGPT and, beside it, the mixed text: LitGPT's own data modules mix no corpora of one's choice.

    Lightning-AI/litgpt, litgpt/data/text_files.py (TextFiles: a document per file, the first one for validation) and
    litgpt/data/json_data.py (JSON: instruction and output, where every document has a prompt).
    """
    sample = request.sample
    if all(document.prompt for document in sample.documents):
        text = path.with_suffix(".sample.json")
        rows = [
            {"instruction": d.prompt.removesuffix("\n"), "input": "", "output": d.response} for d in sample.documents
        ]
        with atomic_write(text) as temporary:
            temporary.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        arguments: dict[str, Any] = {
            "json_path": str(text.absolute()), "mask_prompt": True, "val_split_fraction": 0.05,
            "prompt_style": "default", "seed": request.seed,
        }  # fmt: skip
        _save_yaml(request, path, {"data": {"class_path": "litgpt.data.JSON", "init_args": arguments}})
        return
    folder = path.with_suffix(".sample")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SimtoolError(f"{folder} is not empty, and LitGPT reads every .txt file in it. Name another file.")
    for n, document in enumerate(sample.documents):
        (folder / f"{n:08}.txt").write_text(document.text, encoding="utf-8", errors="replace")
    arguments = {"train_data_path": str(folder.absolute()), "seed": request.seed}
    _save_yaml(request, path, {"data": {"class_path": "litgpt.data.TextFiles", "init_args": arguments}})


def olmo_core(request: "ExportRequest", path: Path) -> None:
    """The sources of an OLMo-core mixture, over ids as `dolma tokens` writes them.

    allenai/OLMo-core, src/olmo_core/data/source_mixture.py (SourceMixtureList).
    """
    sources = [
        {
            "source_name": part.name,
            "target_ratio": part.share,
            "paths": [f"{_tokenized(request, part)}/*.npy"],
            "max_repetition_ratio": max(1.0, float(request.max_epochs)),
        }
        for part in request.ingredients
    ]
    steps = _steps(request, "dolma tokens --documents TEXT --destination {folder} --tokenizer.name_or_path TOKENIZER")
    _save_yaml(request, path, {"sources": sources}, steps)


def nanotron(request: "ExportRequest", path: Path) -> None:
    """A stage of nanotron's `data_stages` over a Nanoset: folders of ids and their weights.

    huggingface/nanotron, src/nanotron/config/config.py (DatasetStageArgs, NanosetDatasetsArgs).
    """
    dataset = {
        "dataset_folder": [_tokenized(request, part) for part in request.ingredients],
        "dataset_weights": [part.share for part in request.ingredients],
    }
    data = {"dataset": dataset, "num_loading_workers": 1, "seed": request.seed}
    stage = {"name": "mixture", "start_training_step": 1, "data": data}
    steps = _steps(
        request, "tools/preprocess_data.py --tokenizer-name-or-path TOKENIZER --output-folder {folder} --dataset TEXT"
    )
    _save_yaml(request, path, {"data_stages": [stage]}, steps)


def levanter(request: "ExportRequest", path: Path) -> None:
    """`data` of levanter: a mixture of repositories and files with their weights, which it tokenizes itself.

    marin-community/levanter, src/levanter/data/text.py (LMMixtureDatasetConfig, HfDatasetSourceConfig,
    UrlDatasetSourceConfig, and the formats text, chat and supervised).
    """
    configs = {part.name: {**_levanter_source(part), "format": _levanter_format(part)} for part in request.ingredients}
    weights = {part.name: part.share for part in request.ingredients}
    _save_yaml(request, path, {"data": {"configs": configs, "train_weights": weights, "shuffle": True}})


def _levanter_source(part: "Ingredient") -> dict[str, Any]:
    if not part.hub:
        return {"train_urls": list(part.paths)}
    if part.hub.data_files:
        return {"train_urls": [f"hf://datasets/{part.hub.repo}/{name}" for name in part.hub.data_files]}
    return {"id": part.hub.repo} | ({"name": part.hub.config} if part.hub.config else {})


def _levanter_format(part: "Ingredient") -> dict[str, Any]:
    names = part.fields.names
    match part.fields.kind:
        case "text":
            return {"type": "text", "text_key": names[0]}
        case "chat":
            return {"type": "chat", "messages_field": names[0]}
        case "pair":
            return {"type": "supervised", "input_field": names[0], "output_field": names[1], "separate_with": "\n"}


def megatron(request: "ExportRequest", path: Path) -> None:
    """Weights and prefixes for Megatron-LM's `--data-args-path`, which reads words and knows no comments.

    NVIDIA/Megatron-LM, megatron/core/datasets/utils.py (get_blend_from_list) and tools/preprocess_data.py, whose
    output is PREFIX_text_document.bin and .idx.
    """
    words = [f"{part.share:.6g} {_tokenized(request, part)}_text_document" for part in request.ingredients]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(words) + "\n", encoding="utf-8")


def _tokenized(request: "ExportRequest", part: "Ingredient") -> str:
    """Where the ids of a corpus are to lie."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(part.name).name if part.files else part.name).strip("._-")
    return f"{request.folder}/{plain or 'corpus'}"


def _steps(request: "ExportRequest", command: str) -> list[str]:
    """How the ids that a configuration names are made, corpus by corpus."""
    sources = [f"  {_tokenized(request, part)} from {part.where}" for part in request.ingredients]
    return [f"Tokenize each corpus before: {command.format(folder=request.folder + '/NAME')}", *sources]


def _save_yaml(request: "ExportRequest", path: Path, content: dict[str, Any], steps: Sequence[str] = ()) -> None:
    """A configuration, below its provenance as a comment."""
    import yaml

    basis = request.basis
    lines = [
        f"Mixture {request.mixture}, in shares of tokens; written by simtool {__version__}.",
        *([f"{basis['kind']} sha256 {basis['content_sha256']}"] if basis else []),
        *(f"{part.name}: {part.where}; licence: {part.corpus.licence}" for part in request.ingredients),
        *(
            f"{part.name}: simtool cleans this text as it reads it, a trainer does not; --export jsonl has it clean."
            for part in request.ingredients
            if part.is_cleaned
        ),
        *steps,
    ]
    header = "".join(f"# {' '.join(line.splitlines())}\n" for line in lines)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    with atomic_write(path) as temporary:
        temporary.write_text(header + text, encoding="utf-8")


# ---- the mixed text --------------------------------------------------------------------------------------


def jsonl(request: "ExportRequest", path: Path) -> None:
    """A JSON object a line: text, corpus and, where there are prompts, messages."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
        for row in request.sample.rows():
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def parquet(request: "ExportRequest", path: Path) -> None:
    """The same rows as a table of Arrow, with the provenance in the metadata of its schema, too."""
    import pyarrow as pa
    import pyarrow.parquet

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = [
        ("text", pa.string()),
        ("corpus", pa.string()),
        *([("messages", turns)] if request.sample.has_prompts else []),
    ]
    schema = pa.schema(columns, metadata={"simtool": json.dumps(request.facts, ensure_ascii=False)})
    with atomic_write(path) as temporary:
        table = pa.Table.from_pylist(list(request.sample.rows()), schema=schema)
        pa.parquet.write_table(table, temporary, compression="zstd")


# ---- all of them -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exporter:
    """A form that a mixture is handed on in. `source` is where the form is documented."""

    name: str
    about: str
    write: Callable[["ExportRequest", Path], None]
    ending: str
    source: str


EXPORTERS = {
    exporter.name: exporter
    for exporter in (
        Exporter(
            "axolotl", "`datasets` of axolotl, with so many rows of each.", axolotl, ".yaml", "axolotl-ai-cloud/axolotl"
        ),
        Exporter("trl", "`datasets` of `trl sft`, with fractions of rows.", trl, ".yaml", "huggingface/trl"),
        Exporter("litgpt", "`data` of LitGPT, with the mixed text.", litgpt, ".yaml", "Lightning-AI/litgpt"),
        Exporter("olmo-core", "Sources of a mixture of OLMo-core.", olmo_core, ".yaml", "allenai/OLMo-core"),
        Exporter("nanotron", "A stage of nanotron over a Nanoset.", nanotron, ".yaml", "huggingface/nanotron"),
        Exporter("levanter", "`data` of levanter.", levanter, ".yaml", "marin-community/levanter"),
        Exporter("megatron", "Weights and prefixes for --data-args-path.", megatron, ".txt", "NVIDIA/Megatron-LM"),
        Exporter("jsonl", "The mixed, shuffled text, a document per line.", jsonl, ".jsonl", "this module"),
        Exporter("parquet", "The mixed, shuffled text as a table.", parquet, ".parquet", "this module"),
    )
}
