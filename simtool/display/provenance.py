"""Where text came from and how much of it: two lines below a result, or a line for each corpus."""

from collections.abc import Mapping
from typing import Any

from simtool.wording import ABOVE, PROXY, SMALL_SAMPLE, above_ceiling, listed, plural, same_text, small_sample

Facts = Mapping[str, Any]


def provenance_lines(facts: Facts, whole: bool = False) -> list[str]:
    """What a result rests on: in two lines, or whole, with sources and hashes."""
    return [*(sources(facts) if whole else summary(facts)), *same_texts(facts)]


def same_texts(facts: Facts) -> list[str]:
    """A sentence for each text that has several names, by how much it holds."""
    names: dict[tuple[int, ...], list[str]] = {}
    for name, corpus in facts["corpora"].items():
        if "bytes" in corpus:  # facts of a sweep may be of tokens alone
            names.setdefault(tuple(corpus[unit] for unit in ("documents", "tokens", "bytes")), []).append(name)
    return [same_text(alike) for alike in names.values() if len(alike) > 1]


def summary(facts: Facts) -> list[str]:
    """The corpora with their sizes in a line; proxy corpora and where the rest is said in another."""
    corpora: Mapping[str, Facts] = facts["corpora"]
    sizes = [corpus["tokens"] for corpus in corpora.values()]
    ways = list(dict.fromkeys(corpus["how"] for corpus in corpora.values()))
    amount = f"{min(sizes):,}" if len(set(sizes)) == 1 else f"{min(sizes):,} to {max(sizes):,}"
    proxies = [name for name, corpus in corpora.items() if corpus["stand_in"]]
    marked = f"{PROXY} proxy corpus: {listed(proxies)}. " if proxies else ""
    return [
        f"{plural(len(corpora), 'corpus', 'corpora')} of {amount} tokens ({listed(ways)}).",
        f"{marked}Sources and hashes: --provenance.",
    ]


def sources(facts: Facts) -> list[str]:
    """A line for each corpus, each proxy corpus, and each that lacks bad rows."""
    corpora = facts["corpora"].items()
    lines = [
        f"{marked(name, facts)}: {corpus['tokens']:,} tokens, {corpus['documents']:,} documents;"
        f" {corpus['how']}, {corpus['source']}{_hash_of(corpus)}"
        for name, corpus in corpora
    ]
    lines += [
        f"{PROXY} proxy corpus for {name}: {corpus['stand_in']}" for name, corpus in corpora if corpus["stand_in"]
    ]
    lines += [
        f"{name}: {corpus['skipped']['count']:,} bad rows left out, such as: {corpus['skipped']['reasons'][0]}"
        for name, corpus in corpora
        if corpus.get("skipped") and corpus["skipped"]["count"]
    ]
    return lines


def _hash_of(corpus: Facts) -> str:
    return f" (hash {corpus['content']})" if corpus.get("content") else ""


def marked(name: str, facts: Facts) -> str:
    """The name of a corpus or mixture, with the mark of a proxy corpus."""
    proxies = facts.get("stand_ins") or [
        corpus for corpus, known in facts.get("corpora", {}).items() if known["stand_in"]
    ]
    return f"{name} {PROXY}" if name in proxies else name


def limiting(facts: Facts, tokens: int) -> str:
    """The corpus that all others were thinned to, if there is one: "c4"."""
    return next((name for name, corpus in facts["corpora"].items() if corpus["tokens"] == tokens), "")


def sample_warnings(facts: Facts, tokens: int) -> list[str]:
    """A warning where the samples are too small to say anything, with the corpus that limited all others."""
    return [small_sample(tokens, limiting(facts, tokens))] if tokens < SMALL_SAMPLE else []


def notes_above_ceiling(facts: Facts) -> list[str]:
    """A sentence for each pair above the noise ceiling: what it shares."""
    pairs = facts.get("above_ceiling", [])
    return [f"{ABOVE} {above_ceiling(*pair['corpora'], pair['documents'], pair['near_duplicates'])}" for pair in pairs]
