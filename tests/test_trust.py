"""What holds in every room so that text, files and models of others can be opened safely."""

import ast
from pathlib import Path

import pytest

from tests.conftest import sentences, simtool, write_jsonl

PACKAGE = Path(__file__).parents[1] / "simtool"
MAY_RUN_CODE = {"from_config", "SentenceTransformer", "simple_evaluate"}


def _calls(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_model_brings_code_that_is_run(path):
    for call, name in _calls(ast.parse(path.read_text(encoding="utf-8"))):
        loads_auto = name == "from_pretrained" and "StaticModel" not in ast.unparse(call.func)
        if loads_auto or name in MAY_RUN_CODE:
            allowed = any(
                part in ast.unparse(call) for part in ("trust_remote_code=False", "'trust_remote_code': False")
            )
            assert allowed, f"{path}: {ast.unparse(call)}"


SECRETS = ("hunter2", "hunter3", "hunter4")
COMMANDS = {
    "matrix": ("matrix", "URL", "OTHER", "--save", "OUT", "--resamples", "20", "--provenance"),
    "json": ("matrix", "URL", "OTHER", "--format", "json", "--resamples", "20"),
    "csv": ("advantage", "--pre", "OTHER", "--mid", "URL:0.2", "--target", "OTHER", "--format", "csv", "--save", "OUT"),
    "predict": ("predict", "--pre", "OTHER", "--mid", "URL:0.2", "--target", "OTHER", "--out", "OUT/p.json"),
    "report": ("report", "URL", "OTHER", "--out", "OUT/report.html"),
    "tokenize": ("tokenize", "URL", "--stores", "OUT"),
    "profile": ("profile", "URL"),
    "corpora": ("corpora", "show", "URL"),
    "missing": ("matrix", "URL", "GONE"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_secret_and_no_home_folder_is_shown_or_written(command, served, tmp_path):
    if command == "tokenize":
        pytest.importorskip("torch")
    handler, url = served
    handler.stamp, handler.body = {"ETag": '"1"'}, write_jsonl(tmp_path / "a.jsonl", sentences(60)).read_bytes()
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    other = write_jsonl(home / "b.jsonl", sentences(60, 1))
    typed = url.replace("//", "//me:hunter2@") + "/a.jsonl?X-Amz-Signature=hunter3&token=hunter4"
    places = {
        "URL": typed,
        "OTHER": str(other),
        "OUT": str(out),
        "GONE": "http://me:hunter2@127.0.0.1:9/a.jsonl?token=hunter4",
    }
    arguments = [text for text in COMMANDS[command]]
    for place, text in places.items():
        arguments = [argument.replace(place, text) for argument in arguments]
    done = simtool(*arguments, HOME=str(home), SIMTOOL_CACHE=str(tmp_path / "cache"))
    assert done.returncode == (2 if command == "missing" else 0), done.stderr
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent != home}
    shown = (done.stdout + done.stderr).encode() + b"".join(
        str(path.relative_to(tmp_path)).encode() for path in written
    )
    for secret in (*SECRETS, str(home)):
        assert secret.encode() not in shown, shown.decode()
        assert not [path for path, content in written.items() if secret.encode() in content]
    assert command == "missing" or b"a.jsonl" in shown + b"".join(written.values())
