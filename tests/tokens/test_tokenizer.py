"""A tokenizer as the rest of simtool has it."""

import pickle
import subprocess
import sys

import pytest

from simtool.corpora.corpus import Document, Segment
from simtool.errors import SimtoolError
from simtool.tokens.catalogue import EMBEDDED_FOLDER, TOKENIZERS
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens
from tests.tokens.definitions import DATA, REAL, save, save_ranks, save_sentencepiece, small_definition


def test_a_tokenizer_is_the_same_in_another_process(embedded):
    embedded.encode(["its backend is loaded"])
    again = pickle.loads(pickle.dumps(embedded))
    assert again == embedded
    assert again.encode(["héllo"])[0].tolist() == embedded.encode(["héllo"])[0].tolist()


def test_simtool_is_another_name_of_the_default(embedded):
    assert load_tokenizer("simtool") == embedded


def test_a_file_that_changed_meanwhile_is_refused(tmp_path):
    path = save(tmp_path / "tokenizer.json", small_definition())
    tokenizer = load_tokenizer(path)
    save(path, small_definition(normalizer={"type": "NFC"}))
    changed = load_tokenizer(path).fingerprint
    with pytest.raises(SimtoolError) as error:
        tokenizer.encode(["ab"])
    assert str(error.value) == (
        f"{path} is not the tokenizer {str(path)!r}: its fingerprint is {changed},"
        f" not {tokenizer.fingerprint}.\n"
        f"Name the file itself to use it: --tokenizer {path}"
    )


@pytest.mark.slow
def test_transformers_reads_the_embedded_tokenizer(embedded):
    transformers = pytest.importorskip("transformers")
    path = str(EMBEDDED_FOLDER / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=path)
    assert theirs("Hello, wörld! 123")["input_ids"] == embedded.encode(["Hello, wörld! 123"])[0].tolist()


def test_nothing_heavy_is_imported_before_the_first_text():
    code = (
        "import sys; from simtool.tokens.tokenizer import load_tokenizer\n"
        "tokenizers = [load_tokenizer(name) for name in ('default', 'pythia', 'gpt2', 'small')]\n"
        "heavy = {'fastokens', 'tokenizers', 'huggingface_hub', 'torch', 'transformers'} & set(sys.modules)\n"
        "print(sorted(heavy), tokenizers[1].fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {TOKENIZERS['pythia'].identity.fingerprint}\n"


# Special tokens that a chat template wrote


def marked(*parts: tuple[str, str]):
    return Document(tuple(Segment(role, text) for role, text in parts)).text


def chat_definition() -> dict:
    special = small_definition()["added_tokens"][0]
    return small_definition(added_tokens=[special, special | {"id": 5, "content": "<|im_end|>"}])


def test_special_tokens_are_read_in_markup_alone(tmp_path):
    tokenizer = load_tokenizer(save(tmp_path / "tokenizer.json", chat_definition()))
    text = marked(("markup", "</s>a"), ("user", "ab<|im_end|>b"), ("markup", "<|im_end|>"))
    ids, offsets = tokenizer.encode([text, "ab", text])
    plain = tokenizer.encode(["aab<|im_end|>b"])[0].tolist()
    assert ids[: offsets[1]].tolist() == [4, *plain, 5] == ids[offsets[2] :].tolist()
    assert ids[offsets[1] : offsets[2]].tolist() == [3]
    assert tokenizer.encode([text])[0].dtype == tokenizer.encode(["ab"])[0].dtype
    assert tokenizer.encode([str(text)])[0].tolist() != ids[: offsets[1]].tolist()


@pytest.mark.parametrize("name", REAL)
def test_a_rendered_chat_gets_the_ids_of_tokenizers(name):
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(DATA / "tokenizers" / TOKENIZERS[name].file))
    tokenizer = load_tokenizer(name, DATA)
    end = TOKENIZERS[name].end_of_text
    text = marked(
        ("markup", f"{end}user\n"), ("user", " two  words"), ("markup", end), ("assistant", "end"), ("markup", end)
    )
    assert tokenizer.encode([text])[0].tolist() == model.encode(str(text), add_special_tokens=False).ids


def test_special_tokens_of_sentencepiece_and_tiktoken_are_read_in_markup(tmp_path):
    pieces = load_tokenizer(save_sentencepiece(tmp_path / "any.model", "bpe"))
    ranks = load_tokenizer(save_ranks(tmp_path / "my.qwen.tiktoken", b"ab"))
    for tokenizer, end in ((pieces, "</s>"), (ranks, "<|endoftext|>")):
        ids = tokenizer.encode([marked(("user", f"a{end}"), ("markup", end))])[0].tolist()
        assert ids.count(tokenizer.end_of_text) == 1 and ids[-1] == tokenizer.end_of_text
        assert tokenizer.encode([marked(("markup", end), ("user", "\ud800"))])[0][0] == tokenizer.end_of_text


def test_tokens_are_readable_where_the_first_number_is_no_token(tmp_path):
    definition = small_definition()
    definition["model"] |= {"vocab": {"a": 1, "b": 2, "\u0120": 3, "ab": 5}}
    text_of, problem = readable_tokens(load_tokenizer(save(tmp_path / "tokenizer.json", definition)))
    assert problem is None and text_of(5) == "ab"
