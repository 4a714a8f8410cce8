"""Stores of ids, losses and scores, as text."""

from collections.abc import Mapping
from typing import Any

from simtool.display.console import print_rows
from simtool.runs.texts import overlaps
from simtool.tokens.store import TokenStore


def print_stores(stores: Mapping[str, Mapping[str, TokenStore]], form: str) -> None:
    """One row per corpus and split, with how many documents of a held-out split also stand in the training split."""
    header = ["corpus", "split", "documents", "tokens", "MB", "also in train", "fingerprint"]
    rows = []
    for name, splits in stores.items():
        shared = overlaps(splits)
        for split, store in splits.items():
            doubles = f"{shared[split].n_near_duplicates:,}" if split in shared else ""
            size = f"{store.n_bytes.sum() / 1e6:.1f}"
            rows.append(
                [name, split, f"{store.n_documents:,}", f"{store.n_tokens:,}", size, doubles, store.fingerprint]
            )
    print_rows(header, rows, form)


def print_losses(rows: list[dict[str, Any]], form: str) -> None:
    """One line per measurement."""
    header = ["corpus", "split", "loss_on", "nats/token", "bits/byte", "documents", "tokens"]
    in_phases = any("phase" in row for row in rows)
    cells = [
        [
            *([row["phase"]] if in_phases else []),
            row["corpus"],
            row["split"],
            row["loss_on"],
            f"{row['nats_per_token']:.4f}",
            f"{row['bits_per_byte']:.4f}",
            f"{row['n_documents']:,}",
            f"{row['n_tokens']:,}",
        ]
        for row in rows
    ]
    print_rows(["phase", *header] if in_phases else header, cells, form)


def print_scores(rows: list[dict[str, Any]], form: str) -> None:
    """One line per task and metric of lm-evaluation-harness."""
    cells = [
        [
            row["task"],
            row["metric"],
            f"{row['value']:.4f}",
            "" if row["standard_error"] is None else f"{row['standard_error']:.4f}",
        ]
        for row in rows
    ]
    print_rows(["task", "metric", "value", "standard error"], cells, form)
