"""Where a chat template is found, and what is said where there is none."""

import json

import pytest

from simtool.errors import SimtoolError
from simtool.tokens.chat_templates import load_chat_template
from tests.corpora.chat_templates import CHATML
from tests.tokens.definitions import save, small_definition


def tokenizer_folder(folder, template, **settings):
    folder.mkdir()
    save(folder / "tokenizer.json", small_definition())
    save(folder / "tokenizer_config.json", {"chat_template": template, **settings})
    return folder


def message(name) -> str:
    with pytest.raises(SimtoolError) as error:
        load_chat_template(str(name))
    return str(error.value)


@pytest.mark.parametrize("name", [None, "none"])
def test_there_may_be_none(name):
    assert load_chat_template(name) is None


def test_a_file_a_folder_and_its_settings_are_the_same_template(tmp_path):
    folder = tokenizer_folder(
        tmp_path / "model", CHATML, bos_token={"content": "<s>"}, eos_token="</s>", pad_token=None
    )
    whole = load_chat_template(str(folder))
    assert (whole.text, whole.tokens) == (CHATML, {"bos_token": "<s>", "eos_token": "</s>"})
    assert load_chat_template(str(folder / "tokenizer_config.json")).identity() == whole.identity()
    (folder / "mine.jinja").write_text(CHATML)
    assert load_chat_template(str(folder / "mine.jinja")).identity() == whole.identity()
    assert load_chat_template(str(folder / "tokenizer.json")).identity() == whole.identity()


def test_a_file_of_its_own_comes_before_the_settings(tmp_path):
    folder = tokenizer_folder(tmp_path / "model", "settings")
    (folder / "chat_template.jinja").write_text("file")
    assert load_chat_template(str(folder)).text == "file"


def test_of_several_templates_the_default_is_meant(tmp_path):
    several = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    assert load_chat_template(str(tokenizer_folder(tmp_path / "model", several))).text == "b"


def test_a_tokenizer_without_a_template_is_said_to_have_none(tmp_path):
    folder = tokenizer_folder(tmp_path / "model", None)
    problem = (
        " has no chat template: beside its tokenizer lies no chat_template.jinja, nor a tokenizer_config.json with a"
        " chat_template.\nName the tokenizer of an instruction-tuned model, or a file: --chat-template FILE."
    )
    assert message(folder) == f"{folder}{problem}"
    assert message("default") == f"default{problem}"


def test_a_name_that_is_neither_file_nor_tokenizer():
    assert message("chatml").startswith("--chat-template chatml: no such file, and as a tokenizer: Unknown tokenizer")
    assert message("./my.jinja").startswith("--chat-template ./my.jinja: no such file, and as a tokenizer: ")


def test_what_is_no_template_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "my.jinja").write_text("{% for %}")
    assert message(tmp_path / "my.jinja").startswith(f"{tmp_path / 'my.jinja'} is not a chat template: ")
    (tmp_path / "tokenizer_config.json").write_text("{")
    assert message(tmp_path / "tokenizer_config.json").startswith(
        f"{tmp_path / 'tokenizer_config.json'} cannot be read"
    )


def test_a_template_of_the_hub(tmp_path):
    from tests.tokens.hub import served
    from tests.tokens.test_files import answers

    settings = json.dumps({"chat_template": CHATML, "eos_token": "</s>"}).encode()
    files = {"tokenizer.json": json.dumps(small_definition()).encode(), "tokenizer_config.json": settings}
    ask = "load_chat_template(name).text"
    with served({"some/chat": files}) as endpoint:
        assert answers(["some/chat"], tmp_path, endpoint, ask=ask) == [CHATML]
    assert answers(["some/chat"], tmp_path, endpoint, ask=ask, HF_HUB_OFFLINE="1") == [CHATML]
