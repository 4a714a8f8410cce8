"""A worker that reads what never comes ends when it is asked to for the second time."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import sentences, write_jsonl

HANGING = """
import signal
import sys
from simtool.cli import main
from simtool.profiles import worker

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
fifo = sys.argv.pop()

def read_forever(*_):
    print("reading", flush=True)
    open(fifo).read()  # nobody writes to it
    yield []

worker.text_batches = read_forever
main()
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_read_that_hangs(sign, tmp_path):
    text, fifo = write_jsonl(tmp_path / "a.jsonl", sentences(20)), tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", HANGING, "profile", text, "--feature", "token", "--workers", "1", fifo]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "reading\n"
        for _ in range(2):
            assert process.poll() is None  # after the first it would finish the batch at hand, which never comes
            process.send_signal(sign)
            time.sleep(0.5)
        try:
            assert "interrupted" in process.communicate(timeout=60)[1] and process.returncode == 130
        finally:
            process.kill()
