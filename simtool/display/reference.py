"""What is known by name and what was counted, as text."""

from rich.markup import escape
from rich.table import Table

from simtool.display.console import console, print_rows
from simtool.profiles.resolve import ResolvedProfile


def print_profiles(found: list[ResolvedProfile]) -> None:
    """What was counted: sizes, provenance."""
    rows = []
    for one in found:
        size, facts = one.profile.size, one.profile.facts
        skipped = (facts.get("skipped") or {}).get("count", 0)
        rows.append(
            [
                one.profile.corpus + (" †" if facts["stand_in"] else ""),
                f"{size['documents']:,}",
                f"{size['tokens']:,}",
                f"{size['bytes']:,}",
                f"{size['bytes'] / size['tokens']:.2f}",
                f"{skipped:,}",
                one.how,
                facts["source"],
            ]
        )
    print_rows(["corpus", "documents", "tokens", "bytes", "bytes a token", "skipped", "how", "source"], rows)
    for one in found:
        if one.profile.facts["stand_in"]:
            print(f"† stand-in for {one.profile.corpus}: {one.profile.facts['stand_in']}")


def print_facts(facts: dict[str, str]) -> None:
    """One thing, a fact a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, told in facts.items():
        table.add_row(name, escape(told))
    console().print(table)
