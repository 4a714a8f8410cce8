"""What is known by name: short lists in a terminal, all of it elsewhere."""

from simtool.display.reference import print_corpora, print_facts, print_profiles
from simtool.profiles.resolve import Options, find_profile

HEADER = ["name", "role", "ready", "title", "licence"]
ROWS = [["gsm8k", "sft", "yes", "GSM8K", "MIT"]]


def test_a_terminal_gets_the_first_columns_and_a_file_all(capsys):
    print_corpora(HEADER, ROWS, "table")
    shown = capsys.readouterr().out
    assert "GSM8K" in shown and "MIT" not in shown and "simtool corpora NAME" in shown
    print_corpora(HEADER, ROWS, "markdown")
    assert capsys.readouterr().out.splitlines()[-1] == "| gsm8k | sft | yes | GSM8K | MIT |"


def test_facts_are_text_and_no_markup(capsys):
    print_facts({"corpus": "gsm8k", "example": "[bold]x[/bold]"})
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_proxy_corpus_is_marked_and_explained(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")
    profile = find_profile("starcoder", ["token"], Options())
    print_profiles([profile])
    shown = capsys.readouterr().out
    size = profile.profile.size
    assert "starcoder *" in shown and f"{size['tokens']:,}" in shown
    assert f"{size['bytes'] / size['tokens']:.2f}" in shown
    assert f"* proxy corpus for starcoder: {profile.profile.facts['stand_in']}" in shown
