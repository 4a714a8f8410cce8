"""What holds in every room so that text, files and models of others can be opened safely."""

import ast
from pathlib import Path

import pytest

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
