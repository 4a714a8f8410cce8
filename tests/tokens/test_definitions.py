"""What a tokenizer's file holds, of each kind: its fingerprint, its ids, and what is said of a file that is none."""

import base64
import itertools
import json

import pytest

from simtool.tokens.catalogue import TOKENIZERS
from simtool.tokens.definitions import TIKTOKEN, tokenizer_fingerprint
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import message_of, save, save_ranks, save_sentencepiece, small_definition, text_lines


@pytest.mark.parametrize(
    "change",
    [
        {"truncation": {"max_length": 3}},
        {"padding": {"pad_id": 0}},
        {"post_processor": {"type": "ByteLevel"}},
        {"decoder": None},
        {"version": "2.0"},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}},
        {"model": {"vocab": {"ab": 3, "a": 0, "b": 1, "Ġ": 2}, "merges": ["a b"], "unk_token": None}},
    ],
)
def test_the_fingerprint_ignores_what_leaves_ids_alone(change):
    assert tokenizer_fingerprint(small_definition(**change)) == tokenizer_fingerprint(small_definition())


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}},
        {"added_tokens": []},
        {"model": {"type": "BPE", "vocab": {"a": 1, "b": 0, "Ġ": 2, "ab": 3}, "merges": ["a b"]}},
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3}, "merges": []}},
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3},
                "merges": ["a b"],
                "ignore_merges": True,
            }
        },
    ],
)
def test_the_fingerprint_sees_what_changes_ids(change):
    assert tokenizer_fingerprint(small_definition(**change)) != tokenizer_fingerprint(small_definition())


def test_a_file_that_is_no_tokenizer_is_said_to_be_none(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    assert message_of(path) == (
        f"{path} is not a tokenizer.json (JSONDecodeError: Expecting property name enclosed in double quotes:"
        " line 1 column 2 (char 1))."
    )
    assert message_of(save(path, {"text": "a"})) == f"{path} is not a tokenizer.json (KeyError: 'model')."
    path.write_text("[]")
    assert message_of(path) == (
        f"{path} is not a tokenizer.json (TypeError: list indices must be integers or slices, not str)."
    )
    odd = {"type": "Odd", "vocab": {"a": 0}}
    assert message_of(save(path, small_definition(model=odd))).startswith(
        f"{path} is not a tokenizer.json that `tokenizers` reads: "
    )


def test_a_panic_of_the_library_is_a_message(tmp_path):
    definition = small_definition()
    definition["model"]["continuing_subword_prefix"] = "###"  # longer than the second part of a merge
    path = save(tmp_path / "tokenizer.json", definition)
    beginning = f"{path} is not a tokenizer.json that `tokenizers` reads: "
    panics = ("range end index ", "byte index 3 ")  # from tokenizers 0.23 on; before
    assert message_of(path).startswith(tuple(beginning + panic for panic in panics))


def test_merges_dropped_at_random_are_refused(tmp_path):
    definition = small_definition()
    definition["model"]["dropout"] = 0.1
    path = save(tmp_path / "tokenizer.json", definition)
    assert message_of(path) == (
        f"{path} drops merges at random (dropout 0.1), so a text has no fixed ids.\nSet model.dropout to null in it."
    )


# SentencePiece


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_sentencepiece_model_gives_the_ids_of_sentencepiece(tmp_path, kind):
    import sentencepiece

    path = save_sentencepiece(tmp_path / "any.model", kind)
    tokenizer, texts = load_tokenizer(path), text_lines()
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids, offsets = tokenizer.encode(texts)
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == [theirs.encode(text) for text in texts]
    assert (tokenizer.backend, tokenizer.vocabulary_size, tokenizer.end_of_text) == ("sentencepiece", 400, 2)
    assert tokenizer.decode([*theirs.encode("two words"), 2]) == "two words</s>"
    assert tokenizer.decode(theirs.encode("中")) == "中"


def test_a_special_token_of_sentencepiece_in_a_text_is_text(tmp_path):
    tokenizer = load_tokenizer(save_sentencepiece(tmp_path / "any.model", "bpe"))
    assert tokenizer.end_of_text not in tokenizer.encode(["a</s>b"])[0]


def test_tokens_of_sentencepiece_are_shown_readably(tmp_path):
    tokenizer = load_tokenizer(save_sentencepiece(tmp_path / "any.model", "bpe"))
    shown = [tokenizer.token_text(token) for token in range(tokenizer.vocabulary_size)]
    assert shown[:4] == ["<unk>", "<s>", "</s>", "\\x00"]  # bytes come first
    assert shown[3 + 0xE2] == "\\xe2"
    assert "␣the" in shown
    with pytest.raises(IndexError):
        tokenizer.token_text(400)


def test_a_model_file_that_is_none_is_said_to_be_none(tmp_path):
    (tmp_path / "any.model").write_bytes(b"\x80\x04K\x01.")
    assert message_of(tmp_path / "any.model").startswith(
        f"{tmp_path / 'any.model'} is not a model of SentencePiece, nor ranks of tiktoken ("
    )


# tiktoken


@pytest.mark.parametrize("name", TIKTOKEN)
def test_ranks_give_the_ids_of_tiktoken(tmp_path, name):
    import tiktoken

    merges = (b"th", b"he", b"the", b" the", b"12", b"123", b"'s", b"\r\n", b"  ")
    path = save_ranks(tmp_path / f"my.{name}.tiktoken", *merges)
    tokenizer, texts = load_tokenizer(path), text_lines()
    theirs = tiktoken.Encoding(
        "theirs", pat_str=TIKTOKEN[name].words, mergeable_ranks=load_ranks(path), special_tokens={"<|end|>": 265}
    )
    ids, offsets = tokenizer.encode(texts)
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == [theirs.encode_ordinary(t) for t in texts]
    assert (tokenizer.backend, tokenizer.vocabulary_size, tokenizer.end_of_text) == ("tiktoken", 266, 265)
    assert [tokenizer.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == texts
    assert tokenizer.decode([265]) == tokenizer.token_text(265) == TIKTOKEN[name].end_of_text
    assert tokenizer.token_text(259) == "␣the"


@pytest.mark.parametrize("name", ["gpt2", "r50k_base", "p50k_base", "cl100k_base", "o200k_base"])
def test_words_are_cut_as_tiktoken_itself_cuts_them(monkeypatch, name):
    from tiktoken_ext import openai_public

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    monkeypatch.setattr(openai_public, "data_gym_to_mergeable_bpe_ranks", lambda *_, **__: {})
    theirs, ours = openai_public.ENCODING_CONSTRUCTORS[name](), TIKTOKEN["r50k_base" if name == "gpt2" else name]
    assert ours.words == theirs["pat_str"]
    assert theirs["special_tokens"][ours.end_of_text] == ours.end_of_text_id


def load_ranks(path):
    """As tiktoken's own loader reads a file, without its cache."""
    lines = path.read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


def test_ranks_under_the_name_of_a_model_are_read_as_ranks(tmp_path):
    named = save_ranks(tmp_path / "llama3.tiktoken", b"th")
    llama = save_ranks(tmp_path / "llama3.model", b"th")  # Llama 3's own repository has its ranks so
    assert load_tokenizer(llama).fingerprint == load_tokenizer(named).fingerprint


def test_the_number_of_ranks_says_which_they_are(tmp_path):
    merges = [b"%d" % number for number in range(10_000, 10_000 + 50_256 - 256)]
    tokenizer = load_tokenizer(save_ranks(tmp_path / "any.tiktoken", *merges))
    assert (tokenizer.end_of_text, tokenizer.vocabulary_size) == (50_256, 50_257)


def test_ranks_that_do_not_say_how_words_are_cut_are_refused(tmp_path):
    path = save_ranks(tmp_path / "any.tiktoken")
    assert message_of(path) == (
        f"{path} holds 256 ranks of tiktoken, and a file of ranks does not say how text is cut into words.\n"
        "Say it in its name, as in my.cl100k_base.tiktoken. Known: r50k_base, p50k_base, cl100k_base, o200k_base,"
        " llama3, qwen."
    )


# a folder that `transformers` puts together


def gpt2_folder(folder):
    """Vocabulary and merges in files of their own, as GPT-2 has them."""
    definition = small_definition()["model"]
    (folder / "vocab.json").write_text(json.dumps(definition["vocab"] | {"<|endoftext|>": 4}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    save(folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    return folder


def test_a_folder_of_vocabulary_and_merges_gives_the_ids_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = load_tokenizer(gpt2_folder(tmp_path))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode(["ab ba"])[0].tolist() == theirs("ab ba")["input_ids"] == [3, 2, 1, 0]
    assert tokenizer.end_of_text == 4


def test_a_folder_with_a_sentencepiece_model_gives_the_ids_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    save_sentencepiece(tmp_path / "tokenizer.model", "bpe")
    save(tmp_path / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"})
    tokenizer = load_tokenizer(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = ["naïve café — the 中文字 1234567", "two  spaces ", "def f(x):\n\treturn x"]
    ids, offsets = tokenizer.encode(texts)
    expected = [theirs(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    assert tokenizer.end_of_text == 2


def test_the_own_code_of_a_folder_is_never_run(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    settings = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    save(tmp_path / "tokenizer_config.json", settings)
    assert message_of(tmp_path).startswith(f"transformers cannot put the tokenizer of {tmp_path} together: ")
    assert not (tmp_path / "ran").exists()


# what ends a text


@pytest.mark.parametrize(
    ("tokens", "config", "end"),
    [
        (["<|im_end|>", "<|endoftext|>"], {"eos_token": "<|im_end|>"}, "<|endoftext|>"),  # a chat's end is no text's
        (["<stop>"], {"eos_token": "<stop>"}, "<stop>"),
        (["<stop>"], {"eos_token": {"content": "<stop>"}}, "<stop>"),
        (["<stop>"], {}, None),
        (["<｜end▁of▁sentence｜>"], {}, "<｜end▁of▁sentence｜>"),
    ],
)
def test_what_ends_a_text_is_known_or_read_from_the_folder(tmp_path, tokens, config, end):
    special = small_definition()["added_tokens"][0]
    added = [special | {"id": 4 + n, "content": token} for n, token in enumerate(tokens)]
    save(tmp_path / "tokenizer.json", small_definition(added_tokens=added))
    save(tmp_path / "tokenizer_config.json", config)
    assert load_tokenizer(tmp_path).end_of_text == (None if end is None else 4 + tokens.index(end))


@pytest.mark.parametrize("name", [name for name, entry in TOKENIZERS.items() if entry.file])
def test_a_known_tokenizer_has_its_own_end_of_text(tmp_path, name):
    entry, special = TOKENIZERS[name], small_definition()["added_tokens"][0]
    added = [special | {"id": 4, "content": "<|other|>"}, special | {"id": 5, "content": entry.end_of_text}]
    if entry.identity:
        pytest.skip("its identity was computed from the real file, and is checked against it")
    (tmp_path / "tokenizers").mkdir()
    path = save(tmp_path / "tokenizers" / entry.file, small_definition(added_tokens=added))
    assert load_tokenizer(name, tmp_path).end_of_text == 5
    save(path, small_definition(added_tokens=[]))
    assert message_of(name, tmp_path) == (
        f"{path} has no token {entry.end_of_text!r}, which ends a text of this tokenizer."
    )
