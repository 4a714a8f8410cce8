"""Where chat templates run: Jinja in its sandbox, in a process of its own that can open nothing and is short of memory.

A template is somebody's program. Jinja's sandbox keeps it from Python; the process keeps it from the time and memory
of this one: what does not answer in time, or grows too large, is ended.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from threading import Lock, Timer
from typing import Any
from weakref import finalize

from simtool.errors import SimtoolError

SECONDS = 10  # a conversation takes about 0.1 ms
MOST_BYTES = 1 << 30  # of memory
MOST_CHARACTERS = 1 << 25  # of one conversation as rendered
TODAY = "2024-07-26"  # what templates that write a date are given, so that a text is the same every day

PROGRAM = '''
import json, sys
from datetime import date
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

class Generation(Extension):
    """{% generation %} marks what an assistant writes; here it changes nothing."""
    tags = {"generation"}
    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)

def refuse(message):
    raise ValueError(message)

def as_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

def limit(most_bytes):
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))

def answer(value):
    print(json.dumps(value), flush=True)

def message_of(error):
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)

settings = json.loads(sys.stdin.readline())
today = date.fromisoformat(settings["today"])
environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
)
environment.filters["tojson"] = as_json
environment.globals |= {"raise_exception": refuse, "strftime_now": today.strftime}
for late in ("{{ strftime_now('%d %b %Y') }}{{ 'é' | trim | tojson }}", "{{ raise_exception('') }}", "{% for %}"):
    try:  # what is loaded late is loaded now, as no file can be opened later
        environment.from_string(late).render()
    except Exception:
        pass
try:
    limit(settings["most_bytes"])
    template = environment.from_string(settings["template"])
except Exception as error:
    answer({"error": message_of(error)})
    raise SystemExit
answer({})
for line in sys.stdin:
    request = json.loads(line)
    try:
        texts = [template.render(**variables) for variables in request]
        if max(map(len, texts)) > settings["most_characters"]:
            raise MemoryError
        answer({"texts": texts})
    except MemoryError:
        answer({"error": "", "is_too_large": True})
    except Exception as error:
        answer({"error": message_of(error)})
'''


class Sandbox:
    """A template in its process.

    Raises
    ------
    SimtoolError
        Where the template is none, or does not end in time or within memory.
    """

    def __init__(self, name: str, template: str):
        self.name, self.lock = name, Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # and not __del__: where an exception holds the sandbox in a cycle, the process may be collected before it
        self.close = finalize(self, _end, self.process, os.getpid())
        limits = {"today": TODAY, "most_bytes": MOST_BYTES, "most_characters": MOST_CHARACTERS}
        if reason := self._ask({"template": template, **limits}).get("error"):
            self.close()
            raise SimtoolError(f"{name} is not a chat template: {reason}.")

    def render(self, conversations: Sequence[Mapping[str, Any]]) -> list[str]:
        """The text of each, from the variables that the template reads: messages, add_generation_prompt, bos_token ...

        Raises
        ------
        ValueError
            Where the template refuses a conversation.
        """
        reply = self._ask(conversations)
        if reply.get("is_too_large"):
            raise self._refused(f"writes more than {MOST_CHARACTERS >> 20} million characters of one conversation")
        if "error" in reply:
            raise ValueError(f"the chat template {self.name} says: {reply['error']}")
        return reply["texts"]

    def _ask(self, question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.lock:
            watch = Timer(SECONDS, self.process.kill)
            watch.start()
            try:
                self.process.stdin.write(json.dumps(question).encode() + b"\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except (OSError, ValueError):  # the process has ended; its pipes are closed
                line = b""
            finally:
                watch.cancel()
        if not line:
            raise self._refused(f"does not end within {SECONDS} s and {MOST_BYTES >> 30} GiB of memory")
        return json.loads(line)

    def _refused(self, problem: str) -> SimtoolError:
        self.close()
        return SimtoolError(f"The chat template {self.name} {problem}. It is not used.")


def _end(process: subprocess.Popen, owner: int) -> None:
    if owner != os.getpid():  # a forked copy is not the owner
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            pipe.close()


def sandbox_of(name: str, template: str) -> Sandbox:
    """The process of a template: one in each process that renders."""
    return _sandbox_in(os.getpid(), name, template)


@lru_cache(maxsize=8)
def _sandbox_in(process: int, name: str, template: str) -> Sandbox:
    return Sandbox(name, template)
