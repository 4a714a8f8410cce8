"""What is known by name and what was counted, as text."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from simtool.display.console import Rows, console, print_notes, print_rows
from simtool.profiles.resolve import ResolvedProfile
from simtool.wording import PROXY

SHORT_LIST = 4  # columns of the list of corpora that a terminal shows: name, role, ready offline, title


def print_profiles(profiles: Sequence[ResolvedProfile]) -> None:
    """What was counted: sizes, provenance."""
    rows = []
    for resolved in profiles:
        size, facts = resolved.profile.size, resolved.profile.facts
        skipped, empty = (facts.get("skipped") or {}).get("count", 0), facts.get("empty", 0)
        rows.append(
            [
                resolved.profile.corpus + (f" {PROXY}" if facts["stand_in"] else ""),
                f"{size['documents']:,}",
                f"{size['tokens']:,}",
                f"{size['bytes']:,}",
                f"{size['bytes'] / size['tokens']:.2f}",
                f"{skipped:,}" if skipped else "",
                f"{empty:,}" if empty else "",
                resolved.how,
                facts["source"],
            ]
        )
    header = ["corpus", "documents", "tokens", "bytes", "bytes per token", "skipped", "empty rows", "how", "source"]
    print_rows(header, rows)
    proxies = {resolved.profile.corpus: resolved.profile.facts["stand_in"] for resolved in profiles}
    print_notes([f"{PROXY} proxy corpus for {name}: {text}" for name, text in proxies.items() if text])


def print_corpora(header: Sequence[str], rows: Rows, form: str) -> None:
    """The corpora known by name: in a terminal what fits, elsewhere all that is known."""
    if form != "table":
        print_rows(header, rows, form)
        return
    print_rows(header[:SHORT_LIST], [row[:SHORT_LIST] for row in rows], prose=[header[SHORT_LIST - 1]])
    print_notes(["More about a corpus: simtool corpora NAME."])


def print_facts(facts: dict[str, str]) -> None:
    """One thing, a fact on each line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts.items():
        table.add_row(name, escape(text))
    console().print(table)
