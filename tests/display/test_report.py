"""Where the page is, as a line that a terminal can open."""

from pathlib import Path

import pytest

from simtool.display.report import print_page


@pytest.mark.parametrize(("path", "shown"), [("report.html", "./report.html"), ("/tmp/x.html", "/tmp/x.html")])
def test_the_page_is_named_by_a_path(path, shown, capsys):
    print_page(Path(path))
    assert capsys.readouterr() == ("", f"Wrote {shown}: open it in a browser.\n")
