"""Where a corpus lies and which fields hold its text, as a trainer is to say it."""

import pytest

from simtool.corpora.catalogue import CATALOGUE, ENTRIES
from simtool.errors import SimtoolError
from simtool.exports.ingredients import Fields, document_lengths, fields_of, find_ingredients
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.resolve import Options


def test_a_corpus_of_the_catalogue_is_named_by_its_hub_id():
    (c4, tulu) = find_ingredients(parse_mixture("c4:0.8+tulu3:0.2"), Options())
    assert (c4.hub.repo, c4.hub.config, c4.files, c4.share) == ("allenai/c4", "en", (), 0.8)
    assert tulu.fields == Fields("chat", ("messages",))


def test_a_set_of_several_repositories_is_named_by_each():
    parts = find_ingredients(parse_mixture("math"), Options())
    assert [(part.name, part.share) for part in parts] == [
        ("TIGER-Lab/MathInstruct", 0.5),
        ("nvidia/OpenMathInstruct-2", 0.5),
    ]
    with pytest.raises(SimtoolError, match="--export jsonl"):
        parts[0].fields  # noqa: B018 (each has fields of its own)


def test_own_files_are_named_by_absolute_paths(corpora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (web,) = find_ingredients(parse_mixture("web.jsonl"), Options())
    assert web.files == (corpora["text"],) and web.hub is None and web.loader == "json"


@pytest.mark.parametrize(
    ("layout", "fields"),
    [
        ("text", Fields("text", ("text",))),
        ("body", Fields("text", ("body",))),
        ("chat", Fields("chat", ("messages",))),
        ("pair", Fields("pair", ("question", "answer"))),
    ],
)
def test_the_fields_of_own_files(layout, fields, corpora):
    (part,) = find_ingredients(Mixture({corpora[layout]: 1.0}), Options())
    assert part.fields == fields


def test_messages_may_be_called_otherwise():
    assert fields_of(CATALOGUE["openthoughts3"]) == Fields("chat", ("conversations",), ("from", "value"))


def test_text_that_simtool_cleans_is_marked():
    assert fields_of(CATALOGUE["starcoder"]) == Fields("text", ("content",), clean=False)


@pytest.mark.parametrize("corpus", ENTRIES, ids=lambda corpus: corpus.name)
def test_named_fields_are_in_the_row(corpus):
    fields = fields_of(corpus)
    assert fields is None or set(fields.names) <= set(corpus.example)


def test_what_lies_in_memory_cannot_be_named():
    (part,) = find_ingredients(parse_mixture("mine"), Options(corpora={"mine": ["A text.", "Another."]}))
    assert part.files == () and part.hub is None and part.where == "2 rows in memory"


def test_lengths_are_of_the_whole_of_a_small_corpus(corpora):
    parts = find_ingredients(Mixture({corpora["text"]: 1.0}), Options())
    (length,) = document_lengths(parts, Options()).values()
    assert (length.documents, length.is_whole) == (60, True)
    shipped = document_lengths(find_ingredients(parse_mixture("c4"), Options()), Options())["c4"]
    assert 100 < shipped.tokens < 2000  # web pages


@pytest.mark.parametrize("name", ["pile_arxiv", "tulu3[assistant]"])
def test_a_part_of_a_corpus_cannot_be_named(name):
    (part,) = find_ingredients(Mixture({name: 1.0}), Options())
    with pytest.raises(SimtoolError, match="a part is meant"):
        part.fields  # noqa: B018
    assert part.part in part.where


def test_many_files_are_named_by_their_number_and_folder(tmp_path):
    for n in range(6):
        path = tmp_path / f"part{n % 2}" / f"{n}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"text": "a text"}\n')
    [part] = find_ingredients(Mixture({str(tmp_path): 1.0}), Options())
    assert part.where == f"6 files below {tmp_path}" and len(part.files) == 6
