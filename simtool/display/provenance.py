"""Where text came from, as lines below a result."""

from collections.abc import Mapping
from typing import Any


def sources(facts: Mapping[str, Any]) -> list[str]:
    """Where each corpus came from, a line each; then what stands in for what, and what was left out."""
    corpora = facts["corpora"].items()
    lines = [
        f"{name}{' †' if told['stand_in'] else ''}: {told['tokens']:,} tokens, {told['documents']:,} documents;"
        f" {told['how']}, {told['source']}"
        for name, told in corpora
    ]
    lines += [f"† stand-in for {name}: {told['stand_in']}" for name, told in corpora if told["stand_in"]]
    lines += [
        f"{name}: {told['skipped']['count']:,} bad rows left out, such as: {told['skipped']['reasons'][0]}"
        for name, told in corpora
        if told.get("skipped") and told["skipped"]["count"]
    ]
    return lines
