"""A folder belongs to one study, its prediction is written once, and what is prepared runs on a bare machine."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.studies import prepare as preparing
from simtool.studies.plan import study_to_json
from simtool.studies.prepare import bind_folder, find_study, is_prepared, prepare, tokenize_texts, warn_of_leaks
from simtool.tokens.chat_templates import load_chat_template
from simtool.tokens.tokenizer import load_tokenizer
from tests.corpora.chat_templates import CHATML

from .conftest import write_texts

# neither torch nor transformers brings these
NOT_ON_A_GPU_MACHINE = (
    "polars", "pyarrow", "datasets", "zstandard", "orjson", "msgspec", "xxhash", "scipy", "matplotlib", "seaborn",
    "platformdirs", "fastokens",
)  # fmt: skip


def test_a_folder_of_another_study_is_refused(study, finished):
    with pytest.raises(SimtoolError, match="holds another study \\(toy; differs in seeds\\)"):
        bind_folder(replace(study, seeds=(0,)), finished[0])


def test_a_study_written_under_earlier_names_of_its_fields_is_the_same(study, tmp_path):
    earlier = {"sequence_length": "length", "min_lr_ratio": "floor", "same_domain": "matched"}
    content = {earlier.get(name, name): value for name, value in study_to_json(study).items()}
    (tmp_path / "study.json").write_text(json.dumps({"study": content}))
    assert find_study(tmp_path) == study
    bind_folder(study, tmp_path)


def test_a_study_writes_chats_by_its_template_and_no_other(study, options, tmp_path):
    chats = [{"messages": [{"role": "user", "content": f"what is x + {n} ?"}, {"role": "assistant", "content": "x"}]}
             for n in range(60)]  # fmt: skip
    path, template = tmp_path / "chat.jsonl", tmp_path / "template.jinja"
    path.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    template.write_text(CHATML)
    texts = {name: None for name in study.texts if name not in study.targets} | {str(path): None}
    chatty = replace(study, targets=(str(path),), texts=texts, chat_template=str(template))
    stores = tokenize_texts(chatty, tmp_path / "study", options)[str(path)]
    store = stores["train"]
    first = load_tokenizer("small").decode(store.document(0))
    assert first.startswith("<|im_start|>user\nwhat is x + ") and store.n_leading_masked[0] > 0
    assert store.facts["template"] == load_chat_template(str(template)).identity()
    bind_folder(chatty, tmp_path / "study")
    with pytest.raises(SimtoolError, match=r"differs in chat_template"):
        bind_folder(replace(chatty, chat_template=None), tmp_path / "study")
    with pytest.raises(SimtoolError, match=r"^The options say chat template qwen3, the study .*template\.jinja\."):
        tokenize_texts(chatty, tmp_path / "study", replace(options, chat_template="qwen3"))
    template.write_text(CHATML.replace("im_start", "im_begin"))
    with pytest.raises(SimtoolError, match=r"^The chat template .*\.jinja has changed since the study wrote"):
        tokenize_texts(chatty, tmp_path / "study", options)


def test_the_prediction_is_written_once(study, finished, options, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    monkeypatch.setattr(preparing, "predict_study", lambda *_: pytest.fail("it was predicted again"))
    before, messages = (folder / "prediction.json").read_bytes(), []
    prepare(study, folder, options, messages.append)
    assert (folder / "prediction.json").read_bytes() == before
    assert not messages


def test_without_options_a_folder_must_be_prepared(study, finished, tmp_path):
    with pytest.raises(SimtoolError, match="is not prepared: its texts are not tokenized, or nothing is predicted"):
        prepare(study, tmp_path, None, print)
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    assert is_prepared(folder) and set(prepare(study, folder, None, print)) == set(study.corpora)
    shutil.rmtree(next((folder / "stores").iterdir()))
    with pytest.raises(SimtoolError, match=r"^The ids of .* are missing in .*\. Copy the whole folder of the study\.$"):
        prepare(study, folder, None, print)


def test_leaks_are_looked_for_once_and_said_each_time(study, tmp_path):
    row = {"target": "tasks", "text": "web", "documents": 100, "near_duplicates": 6}
    (tmp_path / "leaks.json").write_text(json.dumps({"rows": [row]}))
    messages = []
    warn_of_leaks(study, {}, tmp_path, messages.append)
    assert messages == [
        "Warning: of 100 held-out documents of tasks, 6 stand nearly whole in the training text of web."
    ]


BARE = f"""
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {NOT_ON_A_GPU_MACHINE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from simtool.cli import main
main()
"""


def test_a_copied_folder_runs_where_only_torch_and_its_kin_are(tmp_path, options):
    """Prepared here, its texts taken away, copied, and the same command repeated with the other modules blocked."""
    from simtool.studies.presets import study_of_flags

    names = write_texts(tmp_path)
    web, code, tasks = (names[kind] for kind in ("web", "code", "tasks"))
    study = study_of_flags(web, [f"{code}:0.5"], [tasks], "nano", 2_048, 1)
    here, folder = tmp_path / "here", tmp_path / "elsewhere"
    prepare(study, here, options, print)
    for path in names.values():
        (tmp_path / path).unlink()
    shutil.copytree(here, folder)
    command = ["train-eval", "--pretrain", web, "--mid", f"{code}:0.5", "--target", tasks, "--train-tokens", "2048"]
    command += ["--seeds", "1", "--device", "cpu", "--workers", "1", "--out", str(folder)]
    process = subprocess.run([sys.executable, "-c", BARE, *command], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "5/5" in process.stderr
    assert f"simtool results {folder}" in process.stderr  # tables are made where polars is
    assert len((folder / "records.jsonl").read_text().splitlines()) > 5


def test_the_commit_is_never_that_of_a_repository_around_simtool(tmp_path, monkeypatch):
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    installed = tmp_path / "venv" / "site-packages" / "simtool" / "studies" / "prepare.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(preparing, "__file__", str(installed))
    assert preparing._commit() is None
    monkeypatch.setattr(preparing, "__file__", str(tmp_path / "simtool" / "studies" / "prepare.py"))
    assert len(preparing._commit()) == 12
