"""The ground: errors that say what was given, what is allowed and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec


class SimtoolError(Exception):
    """Something the user can fix. The command line prints it without a traceback and exits with 2."""


class TrainingDiverged(SimtoolError):
    """A loss or gradient is no number, or the loss leaps: a property of the run, not of the machine or the code."""


EXTRAS = {  # {package: the extra that brings it}
    **dict.fromkeys(("torch", "transformers", "safetensors"), "train"),
    **dict.fromkeys(("sentencepiece", "tiktoken"), "tokenizers"),
}


def missing_extra(error: ModuleNotFoundError) -> SimtoolError | None:
    """The error to show where a package of an extra is not installed; None for any other package."""
    extra = EXTRAS.get((error.name or "").split(".")[0])
    if extra is None:
        return None
    return SimtoolError(f"This needs {error.name}: pip install '.[{extra}]' in a clone of simtool.")


def require(package: str) -> None:
    """Raise SimtoolError where a package of an extra is not installed: before anything that would end with that."""
    if find_spec(package) is None:
        raise missing_extra(ModuleNotFoundError(name=package))


def unknown(kind: str, name: str, known: Iterable[str]) -> SimtoolError:
    """The error for a name that is not in a catalogue: the nearest name, then all of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return SimtoolError(f"Unknown {kind} {name!r}.{hint}\nKnown: {', '.join(names)}.")
