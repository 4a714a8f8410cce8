import numpy as np
import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.sweeps import SweepTexts, load_sweep, load_texts, short_names, sweep_of

WEIGHTS = pl.DataFrame(
    {"index": [1, 2, 3], "train_the_pile_arxiv": [0.5, 0.25, 0.0], "train_the_pile_pile_cc": [0.5, 0.75, 1.0]}
)
LOSSES = pl.DataFrame(
    {
        "index": [3, 1, 2],
        "metric/the_pile_arxiv_val_loss": [3.0, 1.0, 2.0],
        "metric/the_pile_github_val_loss": [6.0, 4.0, 5.0],
    }
)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["train_the_pile_arxiv", "train_the_pile_pile_cc"], ("arxiv", "pile_cc")),
        (["metric/the_pile_arxiv_val_loss", "metric/the_pile_pile_cc_val_loss"], ("arxiv", "pile_cc")),
        (["weight_books", "weight_books3"], ("books", "books3")),  # whole words only
        (["pubmed_abstracts", "pubmed_central"], ("abstracts", "central")),
        (["web", "code"], ("web", "code")),
        (["a_b", "a"], ("a_b", "a")),  # nothing would be left of the second
        (["weight_web"], ("weight_web",)),
    ],
)
def test_what_all_columns_share_is_no_part_of_a_name(columns, names):
    assert short_names(columns) == names


def test_runs_are_joined_by_name_whatever_their_order():
    sweep = sweep_of(WEIGHTS, LOSSES)
    assert sweep.runs == ("1", "2", "3")
    assert (sweep.domains, sweep.targets) == (("arxiv", "pile_cc"), ("arxiv", "github"))
    np.testing.assert_array_equal(sweep.losses, [[1, 4], [2, 5], [3, 6]])
    assert sweep.rounding == 0.01


def test_scores_are_turned_into_losses():
    np.testing.assert_array_equal(
        sweep_of(WEIGHTS, LOSSES, higher_is_better=True).losses, [[-1, -4], [-2, -5], [-3, -6]]
    )


def test_weights_are_brought_to_sum_1_and_their_rounding_is_known():
    rounded = WEIGHTS.with_columns(pl.col("train_the_pile_arxiv") + 0.002)
    sweep = sweep_of(rounded, LOSSES)
    assert sweep.rounding == 0.001
    np.testing.assert_allclose(sweep.weights.sum(axis=1), 1)
    np.testing.assert_allclose(sweep.weights[2], [0.002 / 1.002, 1 / 1.002])


def test_csv_files_are_read(tmp_path):
    WEIGHTS.write_csv(tmp_path / "ratios.csv")
    LOSSES.write_csv(tmp_path / "losses.csv")
    assert load_sweep(tmp_path / "ratios.csv", tmp_path / "losses.csv").runs == ("1", "2", "3")


def test_what_is_no_sweep_is_refused():
    with pytest.raises(
        SimtoolError, match=r"^The weights of run 2 must be 0 or more and sum to 1. Got .* \(sum 1.25\)"
    ):
        sweep_of(WEIGHTS.with_columns(train_the_pile_arxiv=pl.Series([0.5, 0.5, 0.0])), LOSSES)
    with pytest.raises(SimtoolError, match=r"^The two tables share no column that names the runs"):
        sweep_of(WEIGHTS, LOSSES.rename({"index": "step"}))
    with pytest.raises(SimtoolError, match=r"^No run of one table is in the other"):
        sweep_of(WEIGHTS, LOSSES.with_columns(pl.col("index") + 10))
    with pytest.raises(SimtoolError, match=r"^A sweep needs 3 runs or more. Got 2"):
        sweep_of(WEIGHTS.head(2), LOSSES)
    with pytest.raises(SimtoolError, match=r"^Unknown target 'arxv'. Did you mean 'arxiv'"):
        sweep_of(WEIGHTS, LOSSES).of_targets(["arxv"])


def test_own_weight_is_that_of_the_name_or_else_of_the_text():
    sweep = sweep_of(WEIGHTS, LOSSES)
    groups = {"arxiv": Mixture({"latex": 1.0}), "pile_cc": Mixture({"web": 0.5, "code": 0.5})}
    texts = SweepTexts(groups, {"arxiv": Mixture({"papers": 1.0}), "github": Mixture({"code": 1.0})})
    np.testing.assert_allclose(sweep.own_weights(texts), [[0.5, 0.25], [0.25, 0.375], [0, 0.5]])
    foreign = SweepTexts(groups, {"arxiv": Mixture({"papers": 1.0}), "github": Mixture({"elsewhere": 1.0})})
    assert np.isnan(sweep.own_weights(foreign)[:, 1]).all()
    names, weights = sweep.corpus_weights(texts)
    assert names == ("latex", "web", "code")
    np.testing.assert_allclose(weights[1], [0.25, 0.375, 0.375])


def test_texts_are_named_by_a_file_or_a_folder(tmp_path):
    sweep = sweep_of(WEIGHTS, LOSSES)
    for name in ("arxiv", "pile_cc", "github"):
        (tmp_path / f"{name}.jsonl").touch()
    texts = load_texts(tmp_path, sweep)
    assert texts.domains["arxiv"] == texts.targets["arxiv"] == Mixture({str(tmp_path / "arxiv.jsonl"): 1.0})
    spec = tmp_path / "map.toml"
    spec.write_text('arxiv = "arxiv.jsonl"\npile_cc = "c4:0.5+pile_cc.jsonl:0.5"\n[targets]\ngithub = "starcoder"\n')
    texts = load_texts(spec, sweep)
    assert texts.domains["pile_cc"] == Mixture({"c4": 0.5, str(tmp_path / "pile_cc.jsonl"): 0.5})
    assert texts.targets["github"] == Mixture({"starcoder": 1.0})
    spec.write_text('arxiv = "arxiv.jsonl"\npile_cc = "c4"\n')
    with pytest.raises(SimtoolError, match=r'has no text for github.\nAdd github = "CORPUS" to it'):
        load_texts(spec, sweep)
