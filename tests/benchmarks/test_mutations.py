"""The list of deliberate mistakes fits the code, and what comes of one is what it is called."""

import ast
import json
from pathlib import Path

import pytest

from benchmarks import mutations
from benchmarks.mutations import ROOT, Mutation, load_mutations, mirror_of, run_all, run_tests, summary, wilson

MUTATIONS = load_mutations()
MODULE = "def larger(a, b):\n    return a if a > b else b\n"
TESTS = "from module import larger\n\ndef test_larger():\n    assert larger(1, 2) == 2 and larger(2, 1) == 2\n"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_mistake_fits_the_code(mutation):
    source = (ROOT / mutation.file).read_text(encoding="utf-8")
    changed = mutation.applied(source)  # its text stands there once
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    assert mutation.wrong and all((ROOT / path).is_file() for path in mutation.tests)


def test_there_are_many_mistakes_in_all_rooms():
    rooms = {Path(mutation.file).parts[1] for mutation in MUTATIONS}
    assert len(MUTATIONS) >= 60 and len({mutation.key for mutation in MUTATIONS}) == len(MUTATIONS)
    counting = {"corpora", "tokens", "profiles", "similarity", "prediction", "mixing", "statistics.py"}
    assert counting | {"training", "evaluation", "studies", "runs", "exports", "executor.py", "cli", "page"} <= rooms


def test_a_mistake_whose_text_is_gone_says_so():
    mutation = Mutation("gone", "module.py", "a >= b", "a < b", (), "")
    with pytest.raises(ValueError, match=r"gone: its text stands 0 times in module.py. Bring mutations.toml up to"):
        mutation.applied(MODULE)


def test_modules_have_their_tests():
    assert mirror_of("simtool/mixing/solver.py") == "tests/mixing/test_solver.py"
    assert mirror_of("simtool/statistics.py") == "tests/test_statistics.py"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "module.py").write_text(MODULE)
    (root / "test_module.py").write_text(TESTS)
    (root / "test_none.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    (root / "test_broken.py").write_text("def test_broken():\n    assert False\n")
    return root


def mistake(old: str, new: str, tests: str = "test_module.py") -> Mutation:
    return Mutation(f"{new} {tests}", "module.py", old, new, (tests,), "the smaller is larger")


def test_outcomes_are_what_they_are_called(tree, capsys):
    listed = [
        mistake("a > b", "a < b"),
        mistake("a > b", "a >= b"),  # equal numbers: nobody can tell
        mistake("a > b", "a < b", "test_none.py"),
        mistake("a > b", "a < b", "test_broken.py"),
    ]
    outcomes = run_all(listed, {}, root=tree)
    assert list(outcomes.values()) == ["caught", "survived", "not run", "not run"]
    assert (tree / "module.py").read_text() == MODULE, "mistakes are made in a copy"
    assert summary(outcomes).splitlines()[-1] == "1 of 2 caught: 50.0% (95%: 9.5% to 90.5%)"
    assert "survived  a >= b test_module.py (module.py): the smaller is larger" in capsys.readouterr().out


def test_what_is_known_is_not_run_again(tree, monkeypatch):
    results, saved = {}, []
    first = mistake("a > b", "a < b")
    answers = iter([("failed", ["test_module.py::test_larger"]), ("passed", [])])  # with the mistake, and without
    monkeypatch.setattr(mutations, "run_tests", lambda copy, tests: next(answers))
    run_all([first], results, lambda results: saved.append(json.dumps(results)), tree)
    assert json.loads(saved[-1]) == {first.key: "caught"}
    assert run_all([first], json.loads(saved[-1]), root=tree) == {first.name: "caught"}, "no answer is left"


def test_tests_that_do_not_end_have_failed(tree):
    (tree / "test_module.py").write_text("import time\n\ndef test_slow():\n    time.sleep(60)\n")
    assert run_tests(tree, ["test_module.py"], seconds=3) == ("failed", ["test_module.py"])


def test_the_interval_of_a_share():
    # Newcombe 1998 (Statistics in Medicine 17), table I: 81 of 263 has 0.2553 to 0.3662 by Wilson's method
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(5, 5)[1] == 1 and wilson(0, 5)[0] == 0
