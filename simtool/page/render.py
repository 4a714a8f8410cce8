"""One self-contained HTML file: nothing is loaded, everything that a user named is escaped."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from simtool.page import sentences
from simtool.page.examples import Excerpts
from simtool.page.gather import FEATURES, VIEW_TITLES, Findings, PairDifference
from simtool.page.markup import Html, el, join
from simtool.page.sections import Section, labels, sections
from simtool.plots.titles import feature_title
from simtool.profiles.features import symbol_of
from simtool.similarity.matrix import SimilarityMatrix
from simtool.wording import NOT_TRAINING, PROXY, SAMPLING, method, readable

DIGITS = 4  # significant, of what the matrix shows and colours


def render(findings: Findings, facts: dict[str, Any]) -> str:
    """The page; the same findings and facts (`simtool.tables.provenance()`) give the same page."""
    called = labels(list(dict.fromkeys((*findings.corpora, *findings.facts))))
    names = [called[name] for name in findings.corpora]
    first, second = sentences.headline(findings.advantage, findings.matrices[0], names, called)
    parts = sections(findings)
    script, style = _text("page.js"), _text("style.css")
    # only this script may run, and nothing may be loaded; a chart passes through a data: picture to become a png
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = {
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:;"
        " base-uri 'none'",
        "title": el("title", f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}: a simtool report"),
        "style": style,
        "contents": _contents(parts),
        "headline": el("h1", first),
        "second": el("p", second, class_="second") if second else Html(""),
        "facts": _key_facts(findings, names),
        "sections": join(part.html() for part in parts),
        "made": el("time", facts["made"][:10], datetime=facts["made"]),
        "limits": join([el("p", NOT_TRAINING), el("p", SAMPLING)]),
        "version": join([facts["simtool"]]),
        "data": as_json(data(findings, names)),
        "script": script,
    }
    page = _text("page.html")
    # in one pass, so that what was filled in is never looked at again
    pieces = page.split("{{")
    return pieces[0] + "".join(filled[key] + rest for key, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def as_json(content: Any) -> str:
    """JSON that may stand inside a script element: no `<`, no line ends that JavaScript knows and JSON does not."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def data(findings: Findings, names: Sequence[str]) -> dict[str, Any]:
    """What page.js draws the matrix from."""
    return {
        "corpora": [
            {
                "name": name,
                "label": label,
                "proxy": (findings.facts.get(name) or {}).get("stand_in"),
                "size": _size(findings, name),
            }
            for name, label in zip(findings.corpora, names, strict=True)
        ],
        "views": [_view(findings, matrix, names) for matrix in findings.matrices],
        "features": FEATURES,
        "featureTitles": [feature_title(feature) for feature in FEATURES],
        "symbols": [symbol_of(feature) for feature in FEATURES],
        "open": telling_pair(findings),
        "examples": {k: _examples(findings, k, excerpts) for k, excerpts in findings.examples.items() if excerpts},
        "pairs": {f"{i}-{j}": [_pair(part) for part in parts] for (i, j), parts in findings.pairs.items()},
    }


def _examples(findings: Findings, k: int, excerpts: Excerpts) -> list[dict[str, list[str]]]:
    """Of each feature: excerpts by n-gram as it is shown. Buckets without a name have none."""
    sides = [
        (part.feature, gram)
        for (i, j), parts in findings.pairs.items()
        for part in parts
        for gram in (*(part.more_in_a if i == k else ()), *(part.more_in_b if j == k else ()))
    ]
    return [
        {
            gram.ngram: list(excerpts[name][gram.entry])
            for feature, gram in sides
            if feature == name and gram.ngram != readable(None)
        }
        for name in FEATURES
    ]


def telling_pair(findings: Findings) -> list[int]:
    """The cell that is open at first: what is pretrained on and the first target, or the least similar pair."""
    result, corpora = findings.advantage, findings.corpora
    if result is not None:
        names = [next(iter(result.pretrain.weights)), result.targets[0]]
        if all(name in corpora for name in names):
            return [corpora.index(name) for name in names]
    matrix = findings.matrices[0]
    values = matrix.values if matrix.metric.alike == "high" else -matrix.values
    return [int(k) for k in np.unravel_index(values.argmin(), values.shape)]


def _size(findings: Findings, name: str) -> str:
    facts = findings.facts.get(name)
    return f"{facts['tokens']:,} tokens, {facts['documents']:,} documents" if facts else "a mixture"


def _view(findings: Findings, matrix: SimilarityMatrix, names: Sequence[str]) -> dict[str, Any]:
    n = len(names)
    measure = (matrix.metric.label, matrix.feature, matrix.resamples, matrix.tokens)
    return {
        "title": VIEW_TITLES.get(f"{matrix.metric.name}.{matrix.feature}", f"{matrix.metric.name} on {matrix.feature}"),
        "metric": matrix.metric.name,
        "feature": matrix.feature,
        "measure": f"{matrix.metric.label[0].upper()}{matrix.metric.label[1:]} on {matrix.feature}",
        "about": matrix.metric.about,
        "alike": matrix.metric.alike,
        "symmetric": matrix.metric.symmetric,
        "sizeFree": matrix.metric.by_ceilings,
        "values": _rounded(matrix.values),
        "low": _rounded(matrix.low),
        "high": _rounded(matrix.high),
        "atCeiling": matrix.at_ceiling.astype(int).tolist(),
        "says": [[sentences.cell(matrix, i, j, names) for j in range(n)] for i in range(n)],
        "order": by_likeness(matrix),
        "source": f"{method(*measure, findings.tokenizer)} Seed {findings.seed}. {matrix.metric.source}.",
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


def _pair(part: PairDifference) -> list[Any]:
    def side(grams: Sequence[Any]) -> list[list[Any]]:
        return [[gram.ngram, _round(gram.bits), round(gram.per_million_a), round(gram.per_million_b)] for gram in grams]

    return [_round(part.bits), side(part.more_in_a), side(part.more_in_b)]


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[_round(value) for value in row] for row in values]


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _contents(parts: Sequence[Section]) -> Html:
    links = [el("li", el("a", part.title, href=f"#{part.key}")) for part in parts]
    return el("ul", links)


def _key_facts(findings: Findings, names: Sequence[str]) -> Html:
    proxies = sum(1 for facts in findings.facts.values() if facts["stand_in"])
    numbers = [
        (str(len(names)), "corpora" if len(names) > 1 else "corpus"),
        (f"{findings.matrices[0].tokens:,}", "tokens of each"),
        (str(findings.resamples), "half-splits behind each interval"),
        *([(str(proxies), f"proxy {'corpora' if proxies > 1 else 'corpus'} {PROXY}")] if proxies else []),
    ]
    return el("dl", [el("div", el("dt", what), el("dd", number)) for number, what in numbers])


def _text(name: str) -> str:
    return (resources.files("simtool.page") / name).read_text(encoding="utf-8")
