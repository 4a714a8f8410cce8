"""A tokenizer as the rest of simtool has it."""

import pickle
import subprocess
import sys

import pytest

from simtool.errors import SimtoolError
from simtool.tokens.catalogue import EMBEDDED_FOLDER, TOKENIZERS
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import save, small_definition


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
