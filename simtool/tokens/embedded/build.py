"""The embedded tokenizers: a byte-level BPE trained on equal shares of eleven kinds of text, and its beginning.

    python -m simtool.tokens.embedded.build --data ../shared/data
    python -m simtool.tokens.embedded.build

The first writes `tokenizer.json`, `small.json` and `provenance.json` beside this file; the second, which needs
no data, cuts `small.json` anew. The same data and the same version of `tokenizers` give the same bytes. To
change the blend, edit `BLEND`; every profile made with the old tokenizer is then under another fingerprint and
must be made again.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import zstandard

from simtool.corpora.corpus import document_hash
from simtool.tokens.catalogue import EMBEDDED, EMBEDDED_FILES, SMALL
from simtool.tokens.definitions import END_OF_TEXT, tokenizer_fingerprint
from simtool.tokens.tokenizer import load_tokenizer

VOCABULARY_SIZE = 32_768
# The nano shape (4 layers, width 96) multiplies 12 * 4 * 96**2 = 0.44M times a token in its blocks. Its logits
# take 96 * 4,096 = 0.39M more with this vocabulary, and 3.1M with the whole one.
SMALL_SIZE = 4_096
MB_PER_KIND = 10

# Llama 3's pattern, of five that were each trained on the same 66 MB. Bytes per token are of documents left
# out of training; MB/s of 184 MB of text, fastokens 0.3.5 on one thread of a shared AMD EPYC; the last column
# says on how many of 129,516 strings, every code point among them, fastokens differs from `tokenizers`.
#                                     wikipedia  starcoder  pycode  gsm8k  MB/s  differs
#   GPT-2                                  4.35       3.43    3.52   3.44   225        0
#   GPT-2, each digit a token              4.09       3.35    3.48   2.81    12
#   Llama 3: 1 to 3 digits a token         4.28       3.60    3.79   3.29   197        0
#   Qwen 2: each digit a token             4.14       3.55    3.78   2.85   185        0
#   o200k: camelCase is split              4.28       3.58    3.79   3.29   234        1 ("I'\u017f")
# It is exact, reads code best, and years and prices do not fill the vocabulary; GPT-2's, 14% faster, needs 5%
# more tokens for code. o200k's would be the best of all, were it exact.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class BlendFile(NamedTuple):
    """One file of the blend: its fields are joined by line breaks; `group` shares its bytes out evenly."""

    stem: str
    fields: tuple[str, ...] = ("text",)
    group: str | None = None


# Training splits only: what models are later evaluated on stays out.
BLEND = {
    "web": (BlendFile("c4"), BlendFile("digitalgov")),
    "reviews": (BlendFile("imdb_reviews"), BlendFile("rotten_tomatoes_mr_train")),
    "encyclopedia": (BlendFile("wikipedia_en"),),
    "textbooks": (BlendFile("openstax_textbooks"),),
    "novels": (BlendFile("novels_en"),),
    "news": (BlendFile("news_articles"),),
    "code": (BlendFile("starcoder_like", group="lang"),),
    "python": (BlendFile("pycode_like_train", ("func_documentation_string", "func_code_string")),),
    "math": (
        BlendFile("math_instruct_train", ("instruction", "output")),
        BlendFile("math_deepmind_train", ("question", "answer")),
        BlendFile("openstax_math_textbooks"),
        BlendFile("gsm8k_train", ("question", "answer")),
    ),
    "instructions": (BlendFile("flan_t0_train", ("inputs", "targets")), BlendFile("lima_train", ("conversations",))),
    "questions": (
        BlendFile("knowledgeqa_train", ("question", "answer")),
        BlendFile("sciq_train", ("support", "question", "correct_answer")),
        BlendFile("social_iqa_train", ("context", "question", "answerA", "answerB", "answerC")),
        BlendFile("trec_train"),
    ),
}


def build(data: Path, folder: Path) -> dict[str, Any]:
    """Train, cut, save the three files, and return the provenance."""
    blend = {kind: take_share(data, kind, MB_PER_KIND * 1_000_000) for kind in BLEND}
    taken = [text for parts in blend.values() for part in parts.values() for text in part.taken]
    train(taken).save(str(folder / "tokenizer.json"), pretty=False)
    provenance = describe(data, folder / "tokenizer.json", blend, taken)
    save_provenance(provenance, folder)
    # The sidecar is what load_tokenizer trusts, so compression is measured after it is written.
    provenance["bytes_per_token"] = bytes_per_token(blend, data)
    save_provenance(provenance, folder)
    return build_small(folder)


def build_small(folder: Path) -> dict[str, Any]:
    """Cut `small.json` from the `tokenizer.json` of the folder; the provenance with the entry of the cut in it."""
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    whole = json.loads((folder / EMBEDDED_FILES[EMBEDDED]).read_text(encoding="utf-8"))
    definition = first_entries(whole, SMALL_SIZE)
    data = json.dumps(definition, ensure_ascii=False, separators=(",", ":")).encode()
    (folder / EMBEDDED_FILES[SMALL]).write_bytes(data)
    provenance[SMALL] = {
        **identify(definition),
        "sha256": hashlib.sha256(data).hexdigest(),
        "made_by": "python -m simtool.tokens.embedded.build",
        "about": f"The first {SMALL_SIZE} entries of {provenance['fingerprint']}: its training, stopped there.",
    }
    save_provenance(provenance, folder)
    return provenance


def first_entries(definition: dict[str, Any], size: int) -> dict[str, Any]:
    """The tokenizer that training would have given, had it stopped at `size` entries.

    BPE training adds one entry a step and never looks back, so a smaller vocabulary is the beginning of a
    larger one. Ids are in that order: the end of text, the bytes, then a merge each.
    """
    model = definition["model"]
    vocabulary = {piece: number for piece, number in model["vocab"].items() if number < size}
    n_merges = size - (len(model["vocab"]) - len(model["merges"]))
    merges = model["merges"][:n_merges]
    return {**definition, "model": {**model, "vocab": vocabulary, "merges": merges}}


def save_provenance(provenance: dict[str, Any], folder: Path) -> None:
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")


class Share(NamedTuple):
    taken: list[str]  # trained on
    left_out: list[str]


def take_share(data: Path, kind: str, budget: int) -> dict[str, Share]:
    """The documents of one kind, by file: about `budget` bytes, shared evenly over files, then groups.

    Within a group documents come in the order of their content hash, so the order in the file is irrelevant.
    """
    groups = {part.stem: read_groups(data, part) for part in BLEND[kind]}
    sizes = {stem: sum(n_bytes(texts) for texts in by.values()) for stem, by in groups.items()}
    shares = {}
    for stem, share in fair_shares(sizes, budget).items():
        by = groups[stem]
        limits = fair_shares({name: n_bytes(texts) for name, texts in by.items()}, share)
        shares[stem] = Share([], [])
        for name in sorted(by):
            used = 0
            for text in sorted(by[name], key=lambda text: (document_hash(text.encode()), text)):
                fits = used < limits[name]
                used += len(text.encode())
                (shares[stem].taken if fits else shares[stem].left_out).append(text)
    return shares


def read_groups(data: Path, part: BlendFile) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for row in read_rows(data / f"{part.stem}.jsonl.zst"):
        values = [row[field] for field in part.fields]
        lines = [line for value in values for line in (value if isinstance(value, list) else [value])]
        groups.setdefault(row[part.group] if part.group else "", []).append("\n".join(lines))
    return groups


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file)):
            yield orjson.loads(line)


def fair_shares(sizes: dict[str, int], budget: float) -> dict[str, float]:
    """The same share for everyone; what a small one cannot fill goes to the others."""
    shares = {}
    for i, name in enumerate(sorted(sizes, key=lambda name: (sizes[name], name))):
        shares[name] = min(sizes[name], budget / (len(sizes) - i))
        budget -= shares[name]
    return shares


def n_bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def train(texts: Sequence[str]):
    """A `tokenizers.Tokenizer`; id 0 is the end of text, ids 1 to 256 the bytes, then the merges in order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    bytes_of = pre_tokenizers.ByteLevel
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            bytes_of(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT[0]],
        initial_alphabet=sorted(bytes_of.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return tokenizer


def describe(data: Path, path: Path, blend: dict[str, dict[str, Share]], taken: list[str]) -> dict[str, Any]:
    import tokenizers

    definition = json.loads(path.read_text(encoding="utf-8"))
    return {
        **identify(definition),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "made_by": f"python -m simtool.tokens.embedded.build, tokenizers {tokenizers.__version__}",
        "about": "Byte-level BPE of equal shares of each kind; it holds no text, only frequent pieces.",
        "bytes": n_bytes(taken),
        "text_sha256": hashlib.sha256(b"\0".join(text.encode() for text in taken)).hexdigest(),
        "blend": {
            kind: {
                stem: {
                    "documents": len(share.taken),
                    "bytes": n_bytes(share.taken),
                    "file_sha256": hashlib.sha256((data / f"{stem}.jsonl.zst").read_bytes()).hexdigest(),
                }
                for stem, share in parts.items()
            }
            for kind, parts in blend.items()
        },
    }


def identify(definition: dict[str, Any]) -> dict[str, Any]:
    vocabulary = definition["model"]["vocab"]
    return {
        "fingerprint": tokenizer_fingerprint(definition),
        "vocabulary_size": len(vocabulary),
        "end_of_text": vocabulary[END_OF_TEXT[0]],
    }


def bytes_per_token(blend: dict[str, dict[str, Share]], data: Path) -> dict[str, dict[str, float]]:
    """UTF-8 bytes per token by file, on 2 MB that training left out (of what it took, where it took all)."""
    tokenizers = {name: load_tokenizer(name, data) for name in (EMBEDDED, "pythia", "gpt2")}
    table = {}
    for parts in blend.values():
        for stem, share in parts.items():
            sample, used = [], 0
            for text in share.left_out or share.taken:
                if used > 2_000_000:
                    break
                sample.append(text)
                used += len(text.encode())
            table[stem] = {
                name: round(used / len(tokenizer.encode(sample)[0]), 3) for name, tokenizer in tokenizers.items()
            }
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the embedded tokenizer again, and cut the small one.")
    parser.add_argument("--data", type=Path, help="folder with NAME.jsonl.zst files; without it only the cut is made")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the files are")
    options = parser.parse_args(arguments)
    provenance = build(options.data, options.out) if options.data else build_small(options.out)
    json.dump(provenance, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
