"""Two lines say what a result rests on; whole, a line for each corpus."""

from simtool.display.provenance import limiting, marked, provenance_lines, sample_warnings, sources, summary


def corpus(tokens: int, stand_in: str | None = None, bad: int = 0) -> dict:
    skipped = {"count": bad, "reasons": ["row 3 has no text"]} if bad else None
    return {
        "tokens": tokens,
        "documents": 10,
        "how": "shipped",
        "source": "x.zst",
        "stand_in": stand_in,
        "skipped": skipped,
    }


FACTS = {"corpora": {"c4": corpus(1_000), "starcoder": corpus(2_500, "other code", bad=2)}}


def test_two_lines_by_default():
    assert summary(FACTS) == [
        "2 corpora of 1,000 to 2,500 tokens (shipped).",
        "* proxy corpus: starcoder. Sources and hashes: --provenance.",
    ]


def test_whole_with_sources_proxies_and_bad_rows():
    assert sources(FACTS) == [
        "c4: 1,000 tokens, 10 documents; shipped, x.zst",
        "starcoder *: 2,500 tokens, 10 documents; shipped, x.zst",
        "* proxy corpus for starcoder: other code",
        "starcoder: 2 bad rows left out, such as: row 3 has no text",
    ]


def test_own_files_are_shown_with_their_hash():
    facts = {"corpora": {"mine.jsonl": corpus(1_000) | {"source": "file mine.jsonl", "content": "a1b2"}}}
    assert sources(facts) == ["mine.jsonl: 1,000 tokens, 10 documents; shipped, file mine.jsonl (hash a1b2)"]


def test_the_corpus_that_limits_all_others_is_named():
    assert limiting(FACTS, 1_000) == "c4" and limiting(FACTS, 900) == ""
    assert marked("starcoder", FACTS) == "starcoder *" and marked("c4", FACTS) == "c4"
    [warning] = sample_warnings(FACTS, 1_000)
    assert "1,000" in warning and "c4" in warning
    assert sample_warnings(FACTS, 10**6) == []


def test_one_text_under_several_names_is_noticed():
    same = {name: corpus(1_000) | {"bytes": 5_000} for name in ("web", "copy", "link")}
    facts = {"corpora": same | {"c4": corpus(1_000) | {"bytes": 5_001}}}
    assert (
        provenance_lines(facts)[-1]
        == provenance_lines(facts, whole=True)[-1]
        == ("web, copy and link hold equally many documents, tokens and bytes: probably the same text, named 3 times.")
    )
