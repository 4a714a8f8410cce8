"""The command line: parse, call, print. Nothing is computed here.

To add a command, write a function in the module of its kind and name it in PANELS; what several commands take is
named once, in `options.py`. Imports are inside the functions, so that `--help` is quick and `matrix` never loads what
it does not use.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from simtool.addresses import public_name, without_home, without_secrets
from simtool.cli import compare, mix, reference, report, study, sweep, train
from simtool.cli import figures as draw
from simtool.errors import SimtoolError, missing_extra
from simtool.wording import visible

PANELS = {
    "Compare": (compare.matrix, compare.compare, report.report),
    "Choose": (mix.advantage, mix.mix),
    "Predict and check": (mix.predict, mix.verify, mix.explain, sweep.sweep),
    "Train": (train.tokenize, train.train, train.evaluate, train.export),
    "Studies": (study.train_eval, study.results),
    "Reference": (reference.corpora, reference.profile, reference.metrics, reference.tokenizers, draw.figures),
}

LIMITS = "Limits of what is read"

app = typer.Typer(
    help="Which data to mix in, when, and how much.\n\nStart with: simtool matrix c4 pycode gsm8k",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

# options and arguments that name corpora or mixtures
NAMES = {
    "a", "arm", "available", "b", "candidates", "corpora", "corpus", "cpt", "evaluate_on", "max_share", "mid",
    "min_share", "mixture", "more", "only", "pretrain", "sft", "target", "words",
}  # fmt: skip


def with_public_names(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose corpora are named without secrets and home folders, from its first line on."""

    @functools.wraps(command)
    def call(**options: Any) -> None:
        command(**{name: _public(value) if name in NAMES else value for name, value in options.items()})

    return call


def _public(value: Any) -> Any:
    if isinstance(value, list):
        return [_public(item) for item in value]
    return public_name(without_home(value)) if isinstance(value, str) else value


for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(with_public_names(command))


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
    corpora: Annotated[
        str,
        typer.Option(
            "--corpora",
            help="File that names corpora of your own, simtool.toml by default.",
            metavar="FILE",
            envvar="SIMTOOL_CORPORA",
        ),
    ] = "",
    longest_document: Annotated[
        int,
        typer.Option(
            "--longest-document",
            help="Longest line, cell or document, in MB.",
            metavar="MB",
            min=1,
            envvar="SIMTOOL_LONGEST_DOCUMENT",
            show_envvar=False,
            rich_help_panel=LIMITS,
        ),
    ] = 64,
    largest_window: Annotated[
        int,
        typer.Option(
            "--largest-window",
            help="Largest window of zstd or xz, in MB.",
            metavar="MB",
            min=1,
            max=4096,
            envvar="SIMTOOL_LARGEST_WINDOW",
            show_envvar=False,
            rich_help_panel=LIMITS,
        ),
    ] = 256,
    most_files: Annotated[
        int,
        typer.Option(
            "--most-files",
            help="Most files below a folder or glob.",
            metavar="N",
            min=1,
            envvar="SIMTOOL_MOST_FILES",
            show_envvar=False,
            rich_help_panel=LIMITS,
        ),
    ] = 200_000,
) -> None:
    os.environ["SIMTOOL_MOST_FILES"] = str(most_files)
    os.environ["SIMTOOL_LONGEST_DOCUMENT"] = str(longest_document)  # in this process and its workers
    os.environ["SIMTOOL_LARGEST_WINDOW"] = str(largest_window)
    if corpora:
        os.environ["SIMTOOL_CORPORA"] = corpora  # read where names become corpora, in this process and its workers
    if version:
        from simtool.version import __version__

        typer.echo(f"simtool {__version__}")
        raise typer.Exit()


INTERRUPTED = 130  # what shells expect after Ctrl-C


def _spare_workers_the_script() -> None:
    """Local workers would run the installed `simtool` first, and so import all commands: 0.06 s each."""
    script = sys.modules["__main__"]
    if getattr(script, "main", None) is main and script.__spec__ is None:
        vars(script).pop("__file__", None)


def main() -> None:
    """Run the command line. What the user can mend is one message and exit code 2; Ctrl-C is 130."""
    _spare_workers_the_script()
    try:
        code = app(standalone_mode=False)  # what typer.Exit was raised with; 130 where Ctrl-C was pressed
    except SimtoolError as error:
        print(f"simtool: {visible(without_secrets(str(error)))}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except ModuleNotFoundError as error:
        if (message := missing_extra(error)) is None:
            raise
        print(f"simtool: {message}", file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print("simtool: Not enough memory. Ask for less: fewer --tokens, --resamples or --workers.", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `simtool corpora | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # a disk, a folder or a server that does not do what is asked of it
        if error.strerror is None:
            raise
        place = f" {error.filename}" if error.filename else ""
        print(visible(f"simtool: Cannot read or write{place}: {error.strerror}."), file=sys.stderr)
        sys.exit(2)
    except Exception as error:  # wrong usage; typer brings its own copy of click, whose classes have no public name
        if not (hasattr(error, "show") and hasattr(error, "exit_code")):
            raise
        error.message = str(getattr(error, "message", error)).replace("Value error, ", "")  # how pydantic begins
        error.show()
        if example := _example_of(getattr(error, "ctx", None)):
            print(example, file=sys.stderr)
        sys.exit(error.exit_code)
    if code == INTERRUPTED:
        print(
            "simtool: interrupted. What was done so far is kept: the same command goes on from there.", file=sys.stderr
        )
    sys.exit(code or 0)


def _example_of(context: Any) -> str:
    """The example in the help of the command that was called wrongly."""
    text = (context and context.command.help) or ""
    return next((line.strip() for line in text.splitlines() if line.strip().startswith("Example: ")), "")
