"""What results offer in a notebook: they show themselves with every name escaped, convert, and are drawn."""

import builtins
import importlib
import pkgutil
from types import SimpleNamespace

import pytest

import simtool
from simtool.errors import SimtoolError
from simtool.mixing.frontier import frontier
from simtool.mixing.recommend import recommend
from simtool.mixture import Mixture
from simtool.prediction.advantage import advantage
from simtool.prediction.curve import curve
from simtool.profiles.resolve import shipped
from simtool.results import Tabular, html_table, text_table
from simtool.similarity.matrix import similarity_matrix
from simtool.tokens.tokenizer import load_tokenizer

LAST = ("simtool.studies.conclusions", "simtool.api.reference")
EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def results():
    names = ("c4", "starcoder", "gsm8k")
    profiles = {name: shipped(name, load_tokenizer("default"), ["token"]) for name in names}
    profiles[EVIL] = profiles["gsm8k"]
    c4, code = Mixture({"c4": 1.0}), Mixture({"starcoder": 1.0})
    asked = {"tokens": 20_000, "resamples": 20}
    return [
        similarity_matrix(profiles, **asked),
        advantage(profiles, c4, {"starcoder": code}, [EVIL], **asked),
        curve(profiles, c4, code, [EVIL], shares=(0, 0.5, 1), **asked),
        frontier(profiles, "c4", ["starcoder"], {EVIL: 1.0}, points=3, resamples=20),
    ]


def test_every_result_shows_converts_and_plots_itself(results):
    for result in results:
        shown = result._repr_html_()
        assert shown.startswith("<table>") and "&lt;script&gt;" in shown and "<script" not in shown
        assert result.to_polars().height > 0
        figure = result.plot()
        assert figure._repr_png_().startswith(b"\x89PNG"), result.table


def test_a_result_prints_itself_in_short(results):
    for result in results:
        lines = str(result).splitlines()
        assert repr(result) == str(result) and max(map(len, lines)) < 100 and len(str(result)) < 2_000
        assert lines[0] == f"{type(result).__name__}, {result.to_polars().height:,} rows"
        assert len(lines) < 30
        written = []
        result._repr_pretty_(SimpleNamespace(text=written.append), False)
        assert written == [str(result)]


def test_no_result_writes_out_its_arrays():
    """A dataclass makes a `repr` of its own unless it is told not to: 560,000 letters of a comparison."""
    for module in pkgutil.walk_packages(simtool.__path__, "simtool."):
        room = module.name.split(".")[1]
        if room in ("mixing", "prediction", "similarity") or module.name in LAST:
            importlib.import_module(module.name)
    types = set(subclasses(Tabular))
    assert {"SimilarityMatrix", "Advice", "Comparison", "Conclusions", "Listing"} <= {kind.__name__ for kind in types}
    for kind in types:
        assert kind.__repr__ is Tabular.__repr__, kind


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_a_table_of_text_has_numbers_to_the_right():
    rows = [("c4", 0.5, None), ("gsm8k", 12, True)]
    assert text_table(("corpus", "value", "tested"), rows).splitlines() == [
        "corpus  value  tested",
        "c4        0.5",
        "gsm8k      12  True",
    ]
    assert text_table(("corpus", "value"), []) == "corpus  value"


def test_what_has_no_drawing_says_so():
    names = ("c4", "starcoder", "gsm8k")
    profiles = {name: shipped(name, load_tokenizer("default"), ["token"]) for name in names}
    best = recommend(profiles, "c4", ["starcoder"], {"gsm8k": 1.0}, resamples=20)
    with pytest.raises(SimtoolError) as caught:
        best.plot()
    assert str(caught.value) == "There is no drawing of a Recommendation. Use to_polars() or to_pandas()."


def test_the_matrix_is_shown_as_a_matrix(results):
    matrix = results[0]
    rows = matrix._repr_html_().count("<tr>")
    assert rows == 1 + len(matrix.corpora)
    assert f"{matrix.values[0, 1]:.3f} ({matrix.low[0, 1]:.3f}–{matrix.high[0, 1]:.3f})" in matrix._repr_html_()


def test_to_pandas_is_the_same_table_or_says_what_is_missing(results, monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = results[0].to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == results[0].to_polars().columns
    really = builtins.__import__

    def without_pandas(name, *rest, **more):
        if name == "pandas":
            raise ImportError(name)
        return really(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(SimtoolError) as caught:
        results[0].to_pandas()
    assert str(caught.value) == (
        "to_pandas() needs pandas. Install it (python -m pip install pandas), or use to_polars()."
    )


def test_cells_of_a_table_are_text():
    shown = html_table(["a<b"], [(None,), (0.123456,), (EVIL,)], caption="<i>")
    assert "a&lt;b" in shown and "0.1235" in shown and "&lt;i&gt;" in shown
    assert "None" not in shown and "<script" not in shown
