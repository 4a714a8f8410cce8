"""The embedded tokenizers can be made again: a share of each kind of text, training, and the cut."""

import json
from collections import Counter

import zstandard

from simtool.tokens.catalogue import EMBEDDED_FOLDER
from simtool.tokens.embedded import build


def test_the_small_one_can_be_cut_again(tmp_path):
    for file in ("tokenizer.json", "provenance.json"):
        (tmp_path / file).write_bytes((EMBEDDED_FOLDER / file).read_bytes())
    build.build_small(tmp_path)
    for file in ("small.json", "provenance.json"):
        assert (tmp_path / file).read_bytes() == (EMBEDDED_FOLDER / file).read_bytes()


def test_cutting_is_stopping_the_training_early(monkeypatch):
    texts = [f"the {word} of the {other}s, {other}ing" for word in ("cat", "cart", "tea") for other in ("meat", "eat")]
    trained = []
    for size in (280, 265):
        monkeypatch.setattr(build, "VOCABULARY_SIZE", size)
        trained.append(json.loads(build.train(texts).to_str()))
    assert build.first_entries(trained[0], 265) == trained[1] != trained[0]


def test_what_a_small_file_cannot_fill_goes_to_the_others():
    # 100 / 3 each, of which a fills 10; (100 - 10) / 2 for b and c, of which b fills 40; the rest is c's
    assert build.fair_shares({"c": 90, "a": 10, "b": 40}, 100) == {"a": 10, "b": 40, "c": 50}


def test_a_share_is_spread_over_groups_whatever_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BLEND", {"code": (build.BlendFile("source", group="lang"),)})
    rows = [{"text": f"{lang} {i:04}", "lang": lang} for lang in ("aa", "bb") for i in range(100)]
    rows += [{"text": "cc 0000", "lang": "cc"}]  # 7 bytes each
    shares = []
    for order in (rows, rows[::-1]):
        lines = "\n".join(json.dumps(row) for row in order).encode()
        (tmp_path / "source.jsonl.zst").write_bytes(zstandard.compress(lines))
        shares.append(build.take_share(tmp_path, "code", budget=147)["source"])
    assert shares[0] == shares[1]
    # cc has 7 of the 147; 70 are left for each of the others
    assert Counter(text[:2] for text in shares[0].taken) == {"aa": 10, "bb": 10, "cc": 1}
    assert len(shares[0].taken) + len(shares[0].left_out) == len(rows)
