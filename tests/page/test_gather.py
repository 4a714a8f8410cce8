"""What a page is of: roles off the catalogue, views by name."""

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, midtraining_mixtures
from simtool.page.gather import VIEWS, Roles, gather, parse_view, roles, special_corpora
from simtool.page.sentences import cell
from simtool.profiles.resolve import Options


def test_roles_come_from_the_catalogue():
    known = ["starcoder", "gsm8k", "c4", "wikipedia"]
    assert roles(known, None, (), (), Options()) == Roles("c4", ("starcoder:0.2",), ("gsm8k",))
    assert roles(["gsm8k", "c4"], "dclm", ["math:0.1"], ["lima"], Options()) == Roles("dclm", ("math:0.1",), ("lima",))


def test_text_of_ones_own_is_mixed_in_unless_it_has_another_role(tmp_path):
    (tmp_path / "simtool.toml").write_text('[corpora.crawl]\npath = "crawl.jsonl"\nrole = "general"\n')
    options = Options(corpora_file=tmp_path / "simtool.toml", corpora={"mine": ["a text"]})
    named = ["crawl", "notes.jsonl", "mine", "openai/gsm8k", "goal.jsonl", "c4:0.5+math:0.5"]
    own = ("notes.jsonl:0.2", "mine:0.2", "openai/gsm8k:0.2")
    assert roles(named, None, (), ["goal.jsonl"], options) == Roles("crawl", own, ("goal.jsonl",))
    assert roles(named, "notes.jsonl:0.5+c4:0.5", (), ["goal.jsonl"], options).mid == own[1:]


def test_views():
    assert parse_view("js.skeleton3") == ("js", "skeleton3")
    assert parse_view("dsir_kl") == ("dsir_kl", "token+token2")
    with pytest.raises(SimtoolError, match=r"^Unknown metric 'jss'\. Did you mean 'js'\?"):
        parse_view("jss.token")


def test_what_mixtures_add_is_named_once():
    c4 = Mixture({"c4": 1.0})
    assert special_corpora(c4, midtraining_mixtures(c4, ["math:0.1", "math:0.2", "starcoder:0.2"])) == [
        "math",
        "starcoder",
    ]


@pytest.mark.parametrize(
    ("parts", "option"),
    [
        (Roles(None, ("math:0.1",), ("lima",)), "--pretrain"),
        (Roles("c4", (), ("lima",)), "--mid"),
        (Roles("c4", ("math:0.1",), ()), "--target"),
    ],
)
def test_a_missing_role_names_its_option(parts, option):
    assert option in parts.missing
    assert Roles("c4", ("math:0.1",), ("lima",)).missing is None


def test_the_parts_of_each_pair_are_largest_first(found):
    assert set(found.pairs) == {(i, j) for j in range(5) for i in range(j)}
    for differences in found.pairs.values():
        for part in differences:
            bits = [gram.bits for gram in part.more_in_a]
            assert bits == sorted(bits, reverse=True) and sum(bits) <= part.bits + 1e-9
            assert all(gram.per_million_a > gram.per_million_b for gram in part.more_in_a)


def test_the_size_free_similarity_is_shown_first_and_shared_text_is_seen_by_the_next(tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.zipf(1.5, 100)) for _ in range(120)]
    options = Options(data=None, cache=tmp_path, corpora={"a": texts, "b": [f"{text} " for text in texts]})
    first, second = gather(["a", "b"], views=VIEWS[:2], resamples=20, options=options).matrices
    assert first.metric.name == "size_free" and second.metric.name == "token"
    assert first.facts["above_ceiling"] == [{"corpora": ["a", "b"], "documents": 120, "near_duplicates": 120}]
    assert cell(first, 0, 0, "AB") == "1 by definition: A is as similar to itself as two samples of it can be."
    assert cell(second, 0, 0, "AB").startswith("Noise ceiling: two halves of A score")
