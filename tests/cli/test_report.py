"""The page from the command line: where it is written, and what is refused before anything is counted."""

import pytest

from tests.conftest import simtool


def test_a_page_is_written_where_it_was_to_be(tmp_path):
    done = simtool("report", "c4", "gsm8k", "--view", "js.token", "--resamples", "20", "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Comparing 2 corpora by 1 measure, pair by pair.\n")
    assert done.stderr.endswith(f"Wrote {tmp_path / 'page.html'}: open it in a browser.\n")
    assert "Vocabulary" in (tmp_path / "page.html").read_text(encoding="utf-8")  # the view's title


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c4"], "simtool: A report compares two corpora or more. Got c4."),
        (["c4", "gsm8k", "--study", "nowhere"], "simtool: No study in nowhere: "),
        (["c4", "gsm8k", "--view", "jss.token"], "simtool: Unknown metric 'jss'. Did you mean 'js'?"),
    ],
)
def test_bad_input_is_one_message(arguments, message, tmp_path):
    done = simtool("report", *arguments, "--out", tmp_path / "page.html")
    assert done.returncode == 2 and done.stderr.startswith(message), done.stderr
    assert not list(tmp_path.iterdir())
