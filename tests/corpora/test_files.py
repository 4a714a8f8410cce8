"""Bytes: which version they are, whatever wraps them, and through a pipe."""

import bz2
import gzip
import lzma
import os
import shutil
import socket
import subprocess
import sys

import pytest
import zstandard

from simtool.corpora import files
from simtool.corpora.files import is_pipe, local_file, spooled
from simtool.corpora.sources import find_files
from simtool.errors import SimtoolError

TEXT = b"one line\n" * 1000


def test_an_identity_sees_another_content_of_the_same_size_and_time(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one")
    before, status = local_file(path).identity(), path.stat()
    files._content_hash.cache_clear()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = local_file(path)
    assert (after.size, after.stamp) == (3, str(status.st_mtime_ns))
    assert after.identity() != before


def test_an_identity_sees_the_folder_and_a_content_does_not(tmp_path, monkeypatch):
    identities, contents = set(), set()
    for name in ("p", "q"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_bytes(b"same")
        os.utime(tmp_path / name / "a.jsonl", ns=(1, 1))
        monkeypatch.chdir(tmp_path / name)
        file = local_file((tmp_path / name / "a.jsonl").relative_to(tmp_path / name))
        identities.add(file.identity())
        contents.add(file.content())
    assert (len(identities), len(contents)) == (2, 1)


@pytest.mark.parametrize("at", [0, 4_900, 9_999])
def test_of_a_large_file_pieces_spread_evenly_are_hashed(tmp_path, monkeypatch, at):
    monkeypatch.setattr(files, "HASHED_WHOLE", 6_400)
    data = bytearray(10_000)
    (tmp_path / "a").write_bytes(data)
    before = local_file(tmp_path / "a").content()
    data[at] = 1
    (tmp_path / "b").write_bytes(data)
    assert local_file(tmp_path / "b").content() != before


COUNT = """
import sys
from simtool.corpora.sources import file_corpus
corpus = file_corpus(sys.argv[1])
print(len(list(corpus.documents())), len(list(corpus.documents())), corpus.describe())
"""
LINES = b"".join(b'{"text": "document %d %s"}\n' % (n, b"x" * 500) for n in range(600))


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("spec", ["-", "/dev/stdin", "<(cat {path})", "{pipe}"])
def test_a_pipe_is_read_whole_and_again(tmp_path, spec):
    path, pipe = tmp_path / "in.jsonl", tmp_path / "pipe"
    path.write_bytes(LINES)
    os.mkfifo(pipe)
    script = f"cat {path} > {pipe} &" if "pipe" in spec else ""
    command = f'{script} {sys.executable} -c "$0" {spec.format(path=path, pipe=pipe)} < {path}'
    shown = subprocess.run(["bash", "-c", command, COUNT], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == ["600", "600"]
    assert shown.split()[2] == "file"


def test_what_is_a_pipe(tmp_path):
    (tmp_path / "a-").touch()
    assert [is_pipe(spec) for spec in ("-", "/dev/stdin", "/dev/fd/63", str(tmp_path / "a-"), "a-b")] == [
        True, True, True, False, False,
    ]  # fmt: skip


# ---- what changes ----------------------------------------------------------------------------------------


def lines(n: int, mark: str) -> bytes:
    return b"".join(b'{"text": "%s %d"}\n' % (mark.encode(), i) for i in range(n))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(600_000, "before"))  # three blocks
    blocks = find_files(str(path)).read()
    next(blocks)
    with path.open("ab") as stream:
        stream.write(lines(1, "after"))
    with pytest.raises(SimtoolError, match=rf"^{path} changed while it was read\."):
        list(blocks)


STAMPS = {
    "ETag": ({"ETag": '"1"'}, {"ETag": '"2"'}),
    "Last-Modified": (
        {"Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT"},
        {"Last-Modified": "Mon, 23 Nov 2026 10:00:01 GMT"},
    ),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize("kind", STAMPS)
def test_a_url_is_of_another_version_when_its_text_changes(served, kind):
    handler, url = served
    identities, texts = [], []
    for stamp, body in zip(STAMPS[kind], (b"one", b"two"), strict=True):
        spooled.cache_clear()  # as another process would
        handler.stamp, handler.body = stamp, b'{"text": "%s"}\n' % body
        source = find_files(f"{url}/a.jsonl")
        assert source.files[0].is_remote == (kind != "nothing"), "what has a version is not copied"
        identities.append(source.identity())
        texts += [row["text"] for rows in source.read() for row in rows]
        assert source.identity() == find_files(f"{url}/a.jsonl").identity()
    assert texts == ["one", "two"] and identities[0] != identities[1]


def test_a_url_that_changes_while_it_is_read_is_refused(served):
    handler, url = served
    handler.stamp, handler.body = {"ETag": '"1"'}, lines(10, "before")
    blocks = find_files(f"{url}/a.jsonl").read()
    next(blocks)
    handler.stamp = {"ETag": '"2"'}
    with pytest.raises(SimtoolError, match=r"/a\.jsonl changed while it was read\."):
        next(blocks)


def test_a_server_that_does_not_answer_is_not_a_missing_file(served):
    with socket.socket() as port:  # bound, so that no other server takes it; it does not listen
        port.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{port.getsockname()[1]}/a.jsonl"
        with pytest.raises(SimtoolError, match=rf"^Cannot read {url}: Connection refused\.$"):
            find_files(url)


def test_secrets_of_a_url_are_in_no_name_and_open_it(served):
    handler, url = served
    handler.stamp, handler.body = {"ETag": '"1"'}, lines(3, "text")
    typed = f"{url.replace('//', '//me:hunter2@')}/a.jsonl?X-Amz-Signature=hunter3"
    source = find_files(typed)
    assert source.files[0].location == typed  # what is opened
    assert sum(len(rows) for rows in source.read()) == 3
    assert source.describe() == f"file {url}/a.jsonl" and source.label == f"{url}/a.jsonl"
    assert source.identity() == find_files(f"{url}/a.jsonl").identity()  # another signature is the same text
    handler.body = lines(4, "text")
    with pytest.raises(SimtoolError) as error:
        list(source.read())
    assert "hunter" not in str(error.value)
    with pytest.raises(SimtoolError) as error:
        find_files("http://me:hunter2@127.0.0.1:9/a.jsonl?sig=hunter3")
    assert "hunter" not in str(error.value)


# ---- bombs -----------------------------------------------------------------------------------------------


BOMBS = {  # 3 MB each, where 1 MB is the most
    "one.jsonl.zst": (b'{"text": "', b'"}', "Line 1 of .* is longer than the 1 MB"),
    "one.txt.gz": (b"", b"", "Line 1 of .* is longer than the 1 MB"),
    "one.csv.zst": (b"text\n", b"\n", "The record on line 2 of .* is longer than the 1 MB"),
    "quoted.csv.zst": (b'text\n"', b'"\n', "The record on line 2 of .* is longer than the 1 MB"),
    "lines.csv.zst": (b'text\n"' + b"a\n" * (1 << 20), b'"\n', "The record on line 5.* of .* is longer than the 1 MB"),
    "two.txt.xz": (b"a\n\nb\n" + b"b\n" * (1 << 20), b"", "The text from line 3 of .* is longer than the 1 MB"),
    "main.py.bz2": (b"", b"", r"main\.py\.bz2 is longer than the 1 MB"),
    "one.json.zst": (b'[{"text": "', b'"}]', "one.json.zst, which can only be read whole, is longer than the 1 MB"),
}
COMPRESS = {"zst": zstandard.compress, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_more_than_a_document_is_one_message(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    head, tail, message = BOMBS[name]
    n = 3 << 20 if "json." not in name else 5 << 20  # JSON may be four documents long
    (tmp_path / name).write_bytes(COMPRESS[name.rpartition(".")[2]](head + b"a" * n + tail))
    with pytest.raises(SimtoolError, match=message + ".*\n.*--longest-document"):
        list(find_files(str(tmp_path / name)).read())
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "64")
    assert sum(len(rows) for rows in find_files(str(tmp_path / name)).read()) >= 1


def test_the_same_bytes_in_another_encoding_are_another_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("caf\u00e9".encode("latin-1"))
    spec = str(tmp_path / "a.txt")
    identities = {find_files(spec, encoding=encoding).identity() for encoding in ("latin-1", "cp1251", "")}
    assert len(identities) == 3
