"""Texts of the Pile's domains, in the public sweeps' names: which corpora of the data folder stand for which.

Only 20 documents are genuine Pile documents; everything else is of the same source, or text of the same kind (`STATUS`,
after ../shared/data/pile/README.md). Profiles are counted once and cached like any other.

    python -m analyses._pile --data ../shared/data texts/

writes a file per domain, as `simtool sweep --corpora texts/` takes them.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

from analyses import Missing
from analyses.__main__ import parse
from simtool.mixture import Mixture
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profile

TOKENIZER = "pythia"
STRIDES = {"wikipedia_en": 6, "github": 6, "gutenberg_pg_19": 3}  # documents are taken: 10 to 17 MB each
LINES = 1_000  # questions and answers of one module make a document of dm_mathematics, as in the Pile
WHOLE_C4 = ("en-train-00000-first1000", "llamafactory-c4_demo")  # the sources of c4 whose documents are not cut

# domain -> (file in the data folder, what it is)
DOMAINS = {
    "arxiv": ("pile/arxiv", "proxy: LaTeX of authors' repositories as the Pile converts it, 24 papers"),
    "freelaw": ("pile/freelaw", "same source, one circuit"),
    "nih_exporter": ("pile/nih_exporter", "same source, one university; 10 documents genuine"),
    "pubmed_central": ("pile/pubmed_central", "same source, one topic"),
    "wikipedia_en": ("wikipedia_en", "same source"),
    "dm_mathematics": ("math_deepmind_train", "same generator"),
    "github": ("starcoder_like", "proxy: popular permissive repositories"),
    "philpapers": ("pile/philpapers", "proxy: papers of one philosopher"),
    "stackexchange": ("pile/stackexchange", "same source"),
    "enron_emails": ("pile/enron_emails", "same source, bodies only"),
    "gutenberg_pg_19": ("novels_en", "same source, chunks of 100 novels"),
    "pile_cc": ("c4", "proxy: C4 for the Pile's Common Crawl"),
    "ubuntu_irc": ("pile/ubuntu_irc", "same source, main channel"),
    "europarl": ("pile/europarl", "same source, 4 of 21 languages"),
    "hackernews": ("pile/hackernews", "same source, single comments, 53,000 tokens"),
    "pubmed_abstracts": ("pile/pubmed_abstracts", "same source"),
    "uspto_backgrounds": ("pile/uspto_backgrounds", "10 documents genuine; with other sections and stripped text"),
}
PARTS = {"uspto_backgrounds": ("pile/uspto_backgrounds", "pile/uspto_backgrounds_nopunct", "pile/uspto_abstracts")}
OTHERS = {
    "arxiv_latex": ("pile/arxiv_latex", "proxy: LaTeX of authors' repositories"),
    "python": ("starcoder_like", "proxy: the Python files of popular repositories"),
}
STATUS = {name: status for name, (_, status) in (DOMAINS | OTHERS).items()}

# Shares of the Pile in effective tokens (arXiv:2101.00027, table 1), of the subsets that there is text for
PILE = {
    "pile_cc": 0.1811 + 0.1001,  # with OpenWebText2
    "pubmed_central": 0.1440, "gutenberg_pg_19": 0.0217 + 0.1207 + 0.0075,  # with Books3 and BookCorpus2
    "arxiv": 0.0896, "github": 0.0759, "freelaw": 0.0612, "stackexchange": 0.0513, "uspto_backgrounds": 0.0365,
    "pubmed_abstracts": 0.0307, "wikipedia_en": 0.0153, "dm_mathematics": 0.0124, "ubuntu_irc": 0.0088,
    "europarl": 0.0073, "hackernews": 0.0062, "philpapers": 0.0038, "nih_exporter": 0.0030, "enron_emails": 0.0014,
}  # fmt: skip


def share_of_pile(names: Iterable[str]) -> Mixture:
    """Some of the Pile's subsets, in the proportions that they have in it."""
    shares = {name: PILE[name] for name in names}
    total = sum(shares.values())
    return Mixture({name: share / total for name, share in shares.items()})


def domain_profiles(
    data: Path | None, features: Iterable[str], names: Iterable[str] = tuple(DOMAINS)
) -> dict[str, Profile]:
    """The profile of every domain's text. Raises Missing where the data folder lacks one."""
    paths = domain_texts(data, names)
    options = Options(tokenizer=TOKENIZER, data=data)
    return {name: find_profile(str(path), features, options).profile for name, path in paths.items()}


def domain_texts(
    data: Path | None, names: Iterable[str] = tuple(DOMAINS), folder: Path | None = None
) -> dict[str, Path]:
    """A file of documents per domain, written where it is not there yet; by default beside the cached profiles."""
    folder = folder or Options().cache.parent / "pile"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.jsonl" for name in names}
    for name, path in paths.items():
        if not path.exists():
            lines = [json.dumps({"text": text}) for text in documents(name, data) if text.strip()]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def documents(name: str, data: Path | None) -> Iterator[str]:
    """The documents of one domain."""
    files = PARTS.get(name, ((DOMAINS | OTHERS)[name][0],))
    rows = (row for file in files for row in _rows(file, data))
    if name == "dm_mathematics":
        return _joined(rows)
    if name == "pile_cc":
        rows = (row for row in rows if any(source in row["source"] for source in WHOLE_C4))
    if name == "python":
        rows = (row for row in rows if row["lang"] == "python")
    return (row["text"] for i, row in enumerate(rows) if i % STRIDES.get(name, 1) == 0)


def _joined(rows: Iterator[dict]) -> Iterator[str]:
    """Questions and answers, a line each, LINES of one module per document."""
    modules: dict[str, list[str]] = {}
    for row in rows:
        lines = modules.setdefault(row["task"], [])
        lines.append(f"{row['question']}\n{row['answer']}\n")
        if len(lines) == LINES:
            yield "".join(modules.pop(row["task"]))
    yield from ("".join(lines) for lines in modules.values())


def _rows(file: str, data: Path | None) -> Iterator[dict]:
    path = (data or Path()) / f"{file}.jsonl.zst"
    if data is None or not path.exists():
        raise Missing(f"It needs {file}.jsonl.zst in the data folder (--data DIR or SIMTOOL_DATA).")
    with zstandard.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


if __name__ == "__main__":
    (out,), data = parse(sys.argv[1:])
    print(*domain_texts(data, folder=Path(out)).values(), sep="\n")
