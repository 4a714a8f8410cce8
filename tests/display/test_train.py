"""Stores, losses and scores as tables; what is not known is empty, and no 0."""

import csv
import io

from simtool.display.train import print_losses, print_scores, print_stores
from tests.training.toys import toy_store

LOSS = {
    "corpus": "web", "split": "test", "loss_on": "text", "nats_per_token": 2.34567, "bits_per_byte": 0.8,
    "n_documents": 1_000, "n_tokens": 20_000,
}  # fmt: skip


def printed(capsys) -> list[list[str]]:
    return list(csv.reader(io.StringIO(capsys.readouterr().out)))


def test_losses_have_a_phase_where_there_are_phases(capsys):
    print_losses([LOSS], "csv")
    assert printed(capsys)[1] == ["web", "test", "text", "2.3457", "0.8000", "1,000", "20,000"]
    print_losses([{**LOSS, "phase": "mid"}], "csv")
    header, row = printed(capsys)
    assert (header[0], row[0]) == ("phase", "mid")


def test_a_score_without_an_error_has_none(capsys):
    score = {"task": "arc", "metric": "acc", "value": 0.5, "standard_error": None}
    print_scores([score, {**score, "standard_error": 0.01}], "csv")
    assert [row[-1] for row in printed(capsys)[1:]] == ["", "0.0100"]


def test_a_held_out_split_says_how_much_of_it_is_trained_on(capsys):
    store = toy_store("web", 40)
    print_stores({"web": {"train": store, "test": store}}, "csv")
    header, train, test = printed(capsys)
    doubles = header.index("also in train")
    assert (train[doubles], test[doubles]) == ("", "40")  # the same documents
    assert train[header.index("tokens")] == f"{store.n_tokens:,}"
