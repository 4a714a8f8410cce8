"""A chat template is somebody's program: it renders, and can do nothing else."""

import gc
import os
import pickle
from pathlib import Path

import pytest

from simtool.corpora import sandbox as module
from simtool.corpora.chat import ChatTemplate
from simtool.corpora.sandbox import Sandbox, sandbox_of
from simtool.errors import SimtoolError

MESSAGES = {"messages": [{"role": "user", "content": "Hello <b> & 'é'"}]}


def rendered(template: str, **variables) -> str:
    box = Sandbox("toy", template)
    try:
        return box.render([MESSAGES | variables])[0]
    finally:
        box.close()


def message(template: str) -> str:
    with pytest.raises((SimtoolError, ValueError)) as error:
        rendered(template)
    return str(error.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ messages[0].content }}", "Hello <b> & 'é'"),  # nothing is escaped
        ("{% for m in messages %}\n  {{ m.role }}\n{% endfor %}", "  user\n"),  # as transformers trims blocks
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "Hello <b> & \'é\'"}'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ messages[0].role }}{% endgeneration %}!", "user!"),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),  # the same on every day
        ("{{ bos_token }}|{{ tools is none }}", "<s>|True"),
    ],
)
def test_templates_render_as_they_do_in_transformers(template, text):
    assert rendered(template, bos_token="<s>", tools=None) == text


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch RAN') }}",
        "{{ raise_exception.__globals__['sys'].modules['os'].system('touch RAN') }}",
        "{{ lipsum.__globals__.os.popen('touch RAN').read() }}",
        "{{ self.__init__.__globals__.__builtins__.open('RAN', 'w') }}",
        "{{ (messages | attr('__class__')).__base__.__subclasses__() }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
        "{% import 'os' as os %}{{ os.system('touch RAN') }}",
        "{% include '/etc/passwd' %}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'x'}) }}",
    ],
)
def test_hostile_templates_execute_nothing(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message(attack)
    assert not any(tmp_path.iterdir())


LOOPS = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
DOUBLES = "{% set n = namespace(s='aa') %}{% for i in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}"


@pytest.mark.parametrize("template", [LOOPS, "{% macro f() %}{{ f() ~ f() }}{% endmacro %}{{ f() }}"])
def test_what_does_not_end_is_ended(template, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 1)
    assert "does not end within 1 s" in message(template) or "RecursionError" in message(template)


@pytest.mark.skipif(os.name == "nt", reason="no limits of memory there")
@pytest.mark.parametrize(
    "template", [DOUBLES, "{{ 'a' * 10**11 }}", "{{ 'a'.ljust(10**11) }}", "{{ '%99999999999d' % 1 }}"]
)
def test_what_grows_without_end_is_ended(template):
    assert "MemoryError" in message(template) or "million characters" in message(template)


def test_a_text_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_CHARACTERS", 1 << 20)
    text = "{% for i in range(90000) %}{{ 'abcdefghijklmnop' }}{% endfor %}"
    assert message(text) == (
        "The chat template toy writes more than 1 million characters of one conversation. It is not used."
    )


@pytest.mark.skipif(os.name == "nt", reason="no limits of files there")
def test_a_template_can_open_no_file():
    box = Sandbox("toy", "{{ 1 }}")
    limits = Path(f"/proc/{box.process.pid}/limits")
    if limits.exists():
        line = next(line for line in limits.read_text().splitlines() if line.startswith("Max open files"))
        assert line.split()[3:5] == ["0", "0"]
    box.close()


def test_what_a_template_says_of_a_conversation_is_passed_on():
    assert message("{{ raise_exception('Roles must alternate.') }}") == (
        "the chat template toy says: Roles must alternate."
    )


def test_what_is_no_template_is_refused():
    assert message("{% for %}").startswith("toy is not a chat template: TemplateSyntaxError: ")


def test_a_sandbox_that_is_collected_leaves_no_process():
    box = Sandbox("toy", "{{ messages[0].role }}")
    box.itself, pid = box, box.process.pid
    del box
    gc.collect()  # a process that still runs, or an open pipe, is a warning, and so fails
    assert not Path(f"/proc/{pid}").exists()


def test_what_is_no_template_leaves_no_process():
    with pytest.raises(SimtoolError) as error:
        Sandbox("toy", "{% for %}")
    assert error.traceback[-1].frame.f_locals["self"].process.returncode is not None


def test_one_process_serves_a_template_and_is_not_shared_with_a_fork():
    box = sandbox_of("toy", "{{ messages[0].role }}")
    assert sandbox_of("toy", "{{ messages[0].role }}") is box
    assert box.render([MESSAGES, MESSAGES]) == ["user", "user"]
    assert pickle.loads(pickle.dumps(ChatTemplate("toy", "{{ 1 }}", {"a": "b"}))).tokens == {"a": "b"}
    if hasattr(os, "fork"):
        import multiprocessing

        context = multiprocessing.get_context("fork")
        with context.Pool(1) as pool:
            assert pool.apply(_pid_of_sandbox) != box.process.pid
        assert box.render([MESSAGES]) == ["user"]
    box.close()
    module._sandbox_in.cache_clear()


def _pid_of_sandbox() -> int:
    return sandbox_of("toy", "{{ messages[0].role }}").process.pid
