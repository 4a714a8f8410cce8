"""The page as a file: nothing runs that should not, nothing is loaded, it is small and the same every time."""

import json
import re
from html.parser import HTMLParser

import pytest

from simtool.api.report import report
from simtool.errors import SimtoolError
from simtool.page.gather import gather
from simtool.page.render import as_json, by_likeness, render
from simtool.page.sections import labels
from tests.page.conftest import MADE


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(found) -> str:
    return render(found, MADE)


@pytest.fixture(scope="module")
def parsed(page) -> Elements:
    return Elements(page)


def test_names_and_tokens_stay_text(parsed):
    assert [tag for tag, _ in parsed.elements].count("script") == 2  # the data and the page's own
    assert not [tag for tag, _ in parsed.elements if tag in ("img", "iframe", "b") and tag != "b"]
    assert not [(tag, name) for tag, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(3)>.jsonl" in parsed.text
    assert "Code helps code <b>here</b>." in parsed.text


def test_tokens_of_the_text_are_in_the_data(parsed):
    told = json.loads(parsed.scripts[0])
    grams = {gram[0] for parts in told["pairs"].values() for _, *sides in parts for side in sides for gram in side}
    assert any("script" in gram for gram in grams)
    assert any("<" in gram for gram in grams)
    assert [one["label"] for one in told["corpora"]][-1] == "<img src=x onerror=alert(3)>.jsonl"


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028", "\u2029", "&lt;"])
def test_json_ends_no_script(text):
    told = as_json({text: [text]})
    assert json.loads(told) == {text: [text]}
    assert not set(told) & set("<>&\u2028\u2029")


def test_json_refuses_what_no_browser_reads():
    with pytest.raises(ValueError, match="Out of range float"):
        as_json([float("nan")])


def test_nothing_is_loaded(page, parsed):
    loading = {"link", "img", "iframe", "object", "embed", "video", "audio", "source", "base", "form"}
    assert not [tag for tag, _ in parsed.elements if tag in loading]
    assert not [a for _, a in parsed.elements if {"src", "srcset", "action", "data"} & set(a)]
    assert all(a["href"].startswith("#") for _, a in parsed.elements if "href" in a)
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|innerHTML|eval)\b", parsed.scripts[1])
    policy = next(a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in re.sub(r"\w*doi\S*|arXiv\S*", "", policy)


def test_ids_are_unique_and_links_lead_somewhere(parsed):
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for _, a in parsed.elements if "href" in a} <= set(ids)


def test_every_chart_has_a_name_a_description_and_a_table(parsed):
    tags = [tag for tag, _ in parsed.elements]
    charts = [a for tag, a in parsed.elements if tag == "svg"]
    assert len(charts) >= 8
    assert all(a["role"] == "img" and len(a["aria-label"]) > 10 for a in charts)
    assert tags.count("desc") == len(charts)
    assert parsed.text.count("Show table") == tags.count("figure")


def test_no_number_is_missing_as_nan(parsed):
    assert not re.search(r"\b(nan|None|inf)\b", parsed.text)


def test_same_findings_same_page(found, page):
    assert render(found, MADE) == page


def test_sixteen_corpora_stay_below_three_megabytes(many):
    assert len(render(many, MADE).encode()) < 3_000_000


def test_what_the_study_lacks_is_said(parsed):
    assert "The study has no table study_agreement.csv, so this is left out." in parsed.text
    assert "math 0.2 has no measured effect on the loss on gsm8k" in parsed.text


def test_neighbours_are_alike(many):
    assert sorted(by_likeness(many.matrices[0])) == list(range(16))


def test_labels_are_short_where_that_is_clear():
    assert labels(["c4", "a/x.jsonl", "b/x.jsonl", "b/y.jsonl"]) == {
        "c4": "c4", "a/x.jsonl": "a/x.jsonl", "b/x.jsonl": "b/x.jsonl", "b/y.jsonl": "y.jsonl",
    }  # fmt: skip


def test_two_corpora_without_roles_leave_sections_out():
    found = gather(["gsm8k", "sciq"], views=("token.token",), resamples=20)
    page = Elements(render(found, MADE))
    assert "Left out. No general corpus is among these." in page.text
    assert [tag for tag, _ in page.elements].count("svg") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corpora": ["c4"], "out": "x.html"}, r"^A report compares two corpora or more\. Got c4\.$"),
        ({"corpora": ["c4", "gsm8k"], "out": "."}, r"^\. is a folder\. Name a file: --out report\.html\.$"),
        ({"corpora": ["c4", "gsm8k"], "out": "x.html", "study": "nowhere"}, r"^No study in nowhere: nowhere/tables "),
        ({"corpora": ["c4", "c4"], "out": "x.html"}, r"^Named twice: c4\."),
    ],
)  # fmt: skip
def test_bad_input_is_one_message(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SimtoolError, match=message):
        report(**arguments)
    assert not list(tmp_path.iterdir())
