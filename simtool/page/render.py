"""One self-contained HTML file: nothing is loaded, everything that a user named is escaped."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from simtool.page import sentences
from simtool.page.gather import FEATURES, Findings, PairDifference
from simtool.page.markup import Html, el, join
from simtool.page.sections import Section, labels, sections
from simtool.similarity.matrix import SimilarityMatrix

DIGITS = 4  # significant, of what the matrix shows and colours


def render(found: Findings, made: dict[str, Any]) -> str:
    """The page. made: `simtool.tables.provenance()`; without it the page is the same for the same findings."""
    called = labels(list(dict.fromkeys((*found.corpora, *found.facts))))
    names = [called[name] for name in found.corpora]
    first, second = sentences.headline(found.advantage, found.matrices[0], names, called)
    parts = sections(found)
    script, style = _text("page.js"), _text("style.css")
    # only this script may run, and nothing may be loaded
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = {
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        "title": el("title", f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}: a simtool report"),
        "style": style,
        "contents": _contents(parts),
        "headline": el("h1", first),
        "second": el("p", second, class_="second") if second else Html(""),
        "facts": _facts(found, names),
        "sections": join(part.html() for part in parts),
        "made": el("time", made["made"][:10], datetime=made["made"]),
        "version": join([made["simtool"]]),
        "data": as_json(data(found, names)),
        "script": script,
    }
    page = _text("page.html")
    # in one pass, so that what was filled in is never looked at again
    pieces = page.split("{{")
    return pieces[0] + "".join(filled[key] + rest for key, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def as_json(content: Any) -> str:
    """JSON that may stand inside a script element: no `<`, no line ends that JavaScript knows and JSON does not."""
    told = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        told = told.replace(sign, f"\\u{ord(sign):04x}")
    return told


def data(found: Findings, names: Sequence[str]) -> dict[str, Any]:
    """What page.js draws the matrix from."""
    return {
        "corpora": [
            {
                "name": name,
                "label": label,
                "standIn": (found.facts.get(name) or {}).get("stand_in"),
                "size": _size(found, name),
            }
            for name, label in zip(found.corpora, names, strict=True)
        ],
        "views": [_view(found, one, names) for one in found.matrices],
        "features": FEATURES,
        "pairs": {f"{i}-{j}": [_pair(one) for one in parts] for (i, j), parts in found.pairs.items()},
    }


def _size(found: Findings, name: str) -> str:
    told = found.facts.get(name)
    return f"{told['tokens']:,} tokens, {told['documents']:,} documents" if told else "a mixture"


def _view(found: Findings, matrix: SimilarityMatrix, names: Sequence[str]) -> dict[str, Any]:
    n = len(names)
    return {
        "metric": matrix.metric.name,
        "feature": matrix.feature,
        "about": matrix.metric.about,
        "alike": matrix.metric.alike,
        "symmetric": matrix.metric.symmetric,
        "values": _rounded(matrix.values),
        "low": _rounded(matrix.low),
        "high": _rounded(matrix.high),
        "atCeiling": matrix.at_ceiling.astype(int).tolist(),
        "says": [[sentences.cell(matrix, i, j, names) for j in range(n)] for i in range(n)],
        "order": by_likeness(matrix),
        "source": f"{matrix.metric.name} on {matrix.feature}; mean and 95% interval over {matrix.resamples} random"
        f" half-splits of {matrix.tokens:,} tokens each; tokenizer {found.tokenizer}; seed"
        f" {found.seed}. {matrix.metric.source}.",
    }


def by_likeness(matrix: SimilarityMatrix) -> list[int]:
    """An order in which neighbours are alike: average linkage, with the leaves turned to be nearest their neighbours
    (Bar-Joseph et al. 2001, doi:10.1093/bioinformatics/17.suppl_1.S22).
    """
    if len(matrix.corpora) < 3:
        return list(range(len(matrix.corpora)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    both_ways = (matrix.values + matrix.values.T) / 2
    distance = both_ways.max() - both_ways if matrix.metric.alike == "high" else both_ways - both_ways.min()
    distance = distance.copy()
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True)).tolist()


def _pair(one: PairDifference) -> list[Any]:
    def side(grams: Sequence[Any]) -> list[list[Any]]:
        return [[gram.ngram, _round(gram.bits), round(gram.per_million_a), round(gram.per_million_b)] for gram in grams]

    return [_round(one.bits), side(one.more_in_a), side(one.more_in_b)]


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[_round(value) for value in row] for row in values]


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _contents(parts: Sequence[Section]) -> Html:
    links = [el("li", el("a", part.title, href=f"#{part.key}")) for part in parts]
    return el("ul", links)


def _facts(found: Findings, names: Sequence[str]) -> Html:
    stand_ins = sum(1 for told in found.facts.values() if told["stand_in"])
    told = [
        (str(len(names)), "corpora" if len(names) > 1 else "corpus"),
        (f"{found.matrices[0].tokens:,}", "tokens of each"),
        (str(found.resamples), "half-splits behind each interval"),
        *([(str(stand_ins), f"stand-in{'s' if stand_ins > 1 else ''} †")] if stand_ins else []),
    ]
    return el("dl", [el("div", el("dt", what), el("dd", number)) for number, what in told])


def _text(name: str) -> str:
    return (resources.files("simtool.page") / name).read_text(encoding="utf-8")
