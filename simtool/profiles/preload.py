"""What the process that counting workers are forked from imports, so that none of them has to: 0.2 s of imports and
0.25 s for the tokenizer, once for all. The tokenizer's name comes with its environment.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet  # noqa: F401 (parts are written with it)

from simtool.errors import SimtoolError
from simtool.profiles.worker import PRELOADED_DATA, PRELOADED_TOKENIZER
from simtool.tokens.backends import use_one_thread
from simtool.tokens.tokenizer import load_tokenizer

if name := os.environ.get(PRELOADED_TOKENIZER):
    use_one_thread()  # before the first text; and no thread is there to be lost in a fork
    data = os.environ.get(PRELOADED_DATA)
    with suppress(SimtoolError):  # the worker says so
        load_tokenizer(name, Path(data) if data else None).token_text(0)

gc.freeze()  # the collector of a fork would touch, and so copy, all that it shares
