"""Options that several commands take: amounts as people write them, and counting as it is typed."""

import pytest
import typer

from simtool.cli import app
from simtool.cli.options import amount, at_least, options_of


def test_amounts():
    told = [amount(text) for text in ("2M", "500k", "1.5B", "2_000", 7)]
    assert told == [2_000_000, 500_000, 1_500_000_000, 2_000, 7]


@pytest.mark.parametrize("text", ["lots", "0", "-3", "inf", "0.2", ""])
def test_what_is_no_amount(text):
    with pytest.raises(typer.BadParameter) as error:
        amount(text)
    assert error.value.message == f"{text!r} is not an amount. Write 300k, 2M, 2B or a number."


def test_too_few_are_refused():
    assert at_least(20)("20") == 20
    with pytest.raises(typer.BadParameter, match=r"^'19' is too few: 20 or more\.$"):
        at_least(20)("19")


def test_what_is_typed_is_how_it_is_counted():
    options = options_of("small", None, text_field=["question", "answer"], workers=3)
    assert (options.tokenizer, options.text_field, options.workers) == ("small", "question,answer", 3)
    assert options.sample is not None and options_of("small", None, all=True).sample is None
    assert options_of("small", None).text_field is None and options_of("small", None).workers >= 1


def test_what_reads_text_takes_a_chat_template():
    """What was counted or trained with one can be measured and explained with it."""
    options = {name: {option for param in command.params for option in param.opts}
               for name, command in typer.main.get_command(app).commands.items()}  # fmt: skip
    readers = [name for name, has in options.items() if {"--data", "--skip-bad"} <= has]
    assert len(readers) > 10 and [name for name in readers if "--chat-template" not in options[name]] == []
