"""The Pile's domains are rows of one set."""

import json

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.catalogue.pile import DOMAINS, PILE, OfPileSet
from simtool.profiles.resolve import Options, local_text


def test_a_domain_is_its_own_rows():
    is_arxiv = OfPileSet("ArXiv")
    assert is_arxiv({"text": "a", "meta": {"pile_set_name": "ArXiv"}})
    assert not is_arxiv({"text": "a", "meta": {"pile_set_name": "Github"}})
    assert is_arxiv({"text": "a file of arXiv alone does not say"})


def test_the_seventeen_domains_and_the_whole():
    assert len(DOMAINS) == 17 and len(PILE) == 18
    assert [corpus.name for corpus in PILE if corpus.row_filter is None] == ["pile"]
    assert {corpus.source.repo for corpus in PILE} == {"monology/pile-uncopyrighted"}


def test_a_file_of_all_domains_serves_each(tmp_path):
    rows = [
        {"text": f"Text {n} of {name}.", "meta": {"pile_set_name": name}}
        for n in range(3)
        for name in ("ArXiv", "Github")
    ]
    (tmp_path / "pile_github.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = local_text("pile_github", Options(data=tmp_path))
    assert [document.text for document in corpus.documents()] == [f"Text {n} of Github." for n in range(3)]
    assert 'rows where meta.pile_set_name == "Github"' in corpus.describe()
    assert CATALOGUE["pile_github"].title == "Pile: Github"
