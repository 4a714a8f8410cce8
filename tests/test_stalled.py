"""The second Ctrl-C or SIGTERM ends a read from a server that answers no more, as it does one of a pipe that hangs."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

LINE, ANSWERED = b'{"text": "a line of a server that says no more"}\n', 24 << 20
WHEN_COUNTING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

from simtool.cli import main
from simtool.profiles import worker

text_batches = worker.text_batches

def reported(*arguments):
    print("counting", flush=True)
    yield from text_batches(*arguments)

worker.text_batches = reported
main()
"""


class Stalled(BaseHTTPRequestHandler):
    """Says what a file is, and gives its first ANSWERED bytes; whoever wants more waits."""

    protocol_version = "HTTP/1.1"
    silent, asked = False, threading.Event()

    def _begin(self, status, n_bytes, **headers):
        self.send_response(status)
        headers = {"Content-Length": n_bytes, "ETag": '"1"', "Accept-Ranges": "bytes", **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _wait(self):
        self.asked.set()
        time.sleep(300)

    def do_HEAD(self):
        return self._wait() if self.silent else self._begin(200, 2 * ANSWERED)

    def do_GET(self):
        first, last = map(int, re.findall(r"\d+", self.headers["Range"])[:2])
        content = (LINE * (last // len(LINE) + 1))[first : min(last + 1, ANSWERED)]
        self._begin(206, last + 1 - first, Content_Range=f"bytes {first}-{last}/{2 * ANSWERED}")
        self.wfile.write(content)
        if last >= ANSWERED:
            self._wait()

    def log_message(self, *_):
        pass


@pytest.fixture(params=["silent", "stalls"])
def stalled(request):
    handler = type("OneTest", (Stalled,), {"silent": request.param == "silent", "asked": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}/a.jsonl"
    server.shutdown()
    server.socket.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_read_from_a_server_that_stalls(stalled, sign, tmp_path):
    handler, url = stalled
    command = [sys.executable, "-c", WHEN_COUNTING, "profile", url, "--feature", "token", "--workers", "1"]
    environment = os.environ | {"SIMTOOL_CACHE": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        too_late = threading.Timer(300, process.kill)
        too_late.start()
        try:
            if not handler.silent:
                assert process.stdout.readline() == "counting\n"
            assert handler.asked.wait(300) and process.poll() is None
            process.send_signal(sign)
            if not handler.silent:  # the batch at hand would be finished
                time.sleep(1)
                assert process.poll() is None
                process.send_signal(sign)
            err = process.communicate(timeout=120)[1]
        finally:
            too_late.cancel()
            process.kill()
    # before anything is counted there is nothing to keep, and SIGTERM ends a process as it always does
    assert process.returncode == (-signal.SIGTERM if handler.silent and sign == signal.SIGTERM else 130), err
    assert process.returncode < 0 or "simtool: interrupted." in err
