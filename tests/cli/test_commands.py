"""What a user types and sees: output, one clear message for bad input, exit codes; start-up stays light."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from simtool import cli
from simtool.cli import app
from simtool.corpora import corpus, layouts
from simtool.errors import SimtoolError
from simtool.profiles.resolve import shipped
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, simtool, write_jsonl

BAD = {
    "an unknown corpus": (["matrix", "c4", "gsm8"], r"simtool: Unknown corpus 'gsm8'\. Did you mean 'gsm8k'\?\nKnown: c4, "),
    "an unknown metric": (["matrix", "c4", "--metric", "jss"], r"simtool: Unknown metric 'jss'\. Did you mean 'js'\?\n"),
    "an unknown feature": (["matrix", "c4", "--feature", "tokn"], r"simtool: Unknown feature 'tokn'\. Did you mean 'token'\?"),
    "an unknown tokenizer": (["matrix", "c4", "--tokenizer", "pythja"], r"simtool: Unknown tokenizer 'pythja'\."),
    "a missing file": (["matrix", "c4", "nowhere.jsonl"], r"simtool: No file nowhere\.jsonl\. Check the path\.\n"),
    "weights that do not sum to 1": (
        ["matrix", "c4:0.8+pycode:0.3", "c4"],
        r"simtool: Mixture weights must be positive and sum to 1\. Got \{'c4': 0\.8, 'pycode': 0\.3\} \(sum 1\.1\)\.\n",
    ),
    "a corpus named twice": (["matrix", "c4", "c4"], r"simtool: Named twice: c4\. Name every corpus once\.\n"),
    "more tokens than there are": (
        ["matrix", "c4", "trec", "--tokens", "10000000"],
        r"simtool: trec holds [\d,]+ tokens, too few for --tokens 10,000,000\.\nAsk for at most [\d,]+, or leave it out\.\n",
    ),
    "a missing data folder": (["profile", "c4", "--data", "/no/where"], r"simtool: No data folder /no/where\."),
    "a catalogue name that nothing serves": (
        ["matrix", "c4", "novels"],
        r"simtool: No text or profile for 'novels'\. Tried, in this order:\n  - data folder: none given",
    ),
    "an unwritable folder": (["matrix", "c4", "gsm8k", "--resamples", "20", "--save", "/proc/x"], r"simtool: Cannot write /proc/x"),
    "too few resamples": (
        ["matrix", "c4", "--resamples", "3"],
        r"(?s)Usage: .*Error: Invalid value for '--resamples': '3' is too few: 20 or more\.\nExample: ",
    ),
    "an amount that is none": (
        ["mix", "math", "--target", "gsm8k", "--mid-tokens", "lots"],
        r"(?s)Usage: .*'--mid-tokens': 'lots' is not an amount\. Write 300k, 2M, 2B or a number\.\n",
    ),
    "no such format": (["matrix", "c4", "--format", "xml"], r"(?s)Usage: .*Invalid value for '--format': 'xml' is not one of"),
    "no corpus to show": (["corpora", "show"], r"simtool: Write simtool corpora, simtool corpora show CORPUS, or "),
    "no corpus to add": (["corpora", "add"], r"simtool: Write simtool corpora, simtool corpora show CORPUS, or "),
    "no tables": (["figures"], r"simtool: There are no tables here that a figure is drawn from\. Name their folder: --tables out/\.\n"),
    "no such part": (["profile", "a.jsonl", "--part", "8/8", "--parts", "x"], r"simtool: --part 8/8: there is no such part\."),
    "no part": (["profile", "a.jsonl", "--part", "one", "--parts", "x"], r"simtool: --part 'one' is no part\. Write i/n"),
    "a part without a folder": (["profile", "a.jsonl", "--part", "0/8"], r"simtool: Write --part i/n and --parts URL together"),
    "a part of a sample": (
        ["profile", "a.jsonl", "--part", "0/8", "--parts", "x", "--tokens", "1k"],
        r"simtool: --part divides all of a corpus\. Leave --tokens and --documents out\.\n",
    ),
    "a part of what is not at hand": (
        ["profile", "gsm8k", "--part", "0/8", "--parts", "x"],
        r"simtool: openai/gsm8k is on the hub, and HF_HUB_OFFLINE is set\.\n",
    ),
    "nothing to merge": (["profile", "--merge", "/no/where"], r"simtool: No parts in /no/where\. Count some: "),
    "corpora beside parts": (["profile", "c4", "--merge", "x"], r"simtool: Name the corpora to count, or the parts to add up"),
    "nothing to count": (["profile"], r"simtool: Name the corpora to count, or the parts to add up: --merge URL\.\n"),
    "no passes": (["mix", "math", "--target", "pycode", "--max-epochs", "0"], r"(?s).*'--max-epochs': (0\.0 is not in the range x>=0\.01|Input should be greater than or equal to 0\.01)"),
    "no corpus": (["matrix"], r"(?s).*Missing argument 'CORPUS\.\.\.'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_exit_code_2(name):
    arguments, message = BAD[name]
    done = simtool(*arguments)
    assert done.returncode == 2, done.stderr
    assert re.match(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_mismatching_tokenizers_in_files_of_profiles(tmp_path):
    from simtool.errors import SimtoolError
    from simtool.similarity.matrix import similarity_matrix

    one = shipped("c4", load_tokenizer("default"), ["token"])
    other = shipped("gsm8k", load_tokenizer("pythia"), ["token"])
    with pytest.raises(SimtoolError, match=r"^Profiles under different tokenizers cannot be compared: "):
        similarity_matrix({"c4": one, "gsm8k": other})


SLOWLY = """
import time
from simtool.cli import main
from simtool.profiles import count, tally, worker
count.BATCH_BYTES, worker.SAVE_SECONDS = 100_000, 0
add = tally.CorpusTally.add
tally.CorpusTally.add = lambda tally, texts, label=False: time.sleep(0.2) or add(tally, texts, label)
main()
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_counted(tmp_path):
    path = write_jsonl(tmp_path / "text.jsonl", sentences(10_000))
    command = [sys.executable, "-c", SLOWLY, "profile", str(path), "--feature", "token", "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cache = Path(os.environ["SIMTOOL_CACHE"]) / "profiles"
    while not list(cache.glob("*.parts/*/0-of-1.parquet")):
        assert process.poll() is None, "it ended before it was interrupted"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err.endswith("interrupted. What was done so far is kept: the same command goes on from there.\n")
    assert list(cache.glob("*.parts/*/0-of-1.parquet"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "10,000" in done.stdout
    assert not list(cache.glob("*.parts"))


READERS = (
    "matrix", "compare", "report", "advantage", "mix", "predict", "explain", "sweep", "tokenize", "train", "evaluate",
    "train-eval", "profile",
)  # fmt: skip


def test_messages_advise_what_every_command_has():
    """--skip-bad is advised wherever a bad row is met, so whatever reads text has it; fields are named in the path."""
    commands = typer.main.get_command(app).commands
    without = [name for name in READERS if "--skip-bad" not in {opt for p in commands[name].params for opt in p.opts}]
    assert without == []
    for module in (layouts, corpus):
        assert "--text-field" not in Path(module.__file__).read_text(encoding="utf-8")


def test_a_study_without_torch_ends_before_it_counts(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["simtool", "train-eval"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "simtool: This needs torch: pip install '.[train]' in a clone of simtool.\n")


def test_a_message_from_anywhere_shows_no_secret_of_a_url(monkeypatch, capsys):
    def fail(**_):
        raise SimtoolError("Cannot read http://me:hunter2@host/a.jsonl?token=hunter3 now.")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2 and capsys.readouterr().err == "simtool: Cannot read http://host/a.jsonl now.\n"
