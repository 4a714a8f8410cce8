"""Sets of the hub are counted as files are: in pieces, by many workers, in blocks of a sample, on and on."""

import io
import os
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simtool.profiles.parts import PartsFolder
from tests.conftest import sentences, simtool
from tests.corpora.hub_server import COMMIT, SIGNATURE, TOKEN, hub_server, jsonl
from tests.corpora.test_hub_files import fresh_process

N_FILES, N_DOCUMENTS = 3, 500  # and in each file so many documents of about 9 kB
LOOKED_AT = 3 << 17  # bytes, to see which field holds the text
RANDOM = random.Random(1)


def texts(n: int) -> list[str]:
    return [" ".join(sentences(6, seed=1_000 * n + i)) + RANDOM.randbytes(4_000).hex() for i in range(N_DOCUMENTS)]


TEXTS = [texts(n) for n in range(N_FILES)]


def as_parquet(documents: list[str]) -> bytes:
    """A column of text, and one as large that nobody needs."""
    buffer = io.BytesIO()
    other = [RANDOM.randbytes(4_000).hex() for _ in documents]
    table = pa.table({"text": documents, "other": other})
    pq.write_table(table, buffer, row_group_size=25, compression="zstd", write_statistics=False)
    return buffer.getvalue()


REPOSITORIES = {
    "us/columns": {f"data/train-{n:02}.parquet": as_parquet(documents) for n, documents in enumerate(TEXTS)},
    "us/lines": {
        f"train-{n}.jsonl": jsonl([{"text": text} for text in documents]) for n, documents in enumerate(TEXTS)
    },
    "us/csv": {"train.csv": b"text,n\n" + b"".join(b"some words,%d\n" % n for n in range(40))},
    "us/private": {f"{n}.jsonl": jsonl([{"text": text} for text in TEXTS[n][:40]]) for n in range(2)},
}

COUNT = """
import json, os, signal, sys
from pathlib import Path
from simtool.corpora import pieces
from simtool.corpora.hub import Hub
from simtool.corpora.hub_files import hub_corpus
from simtool.profiles import count
from simtool.profiles.count import Budget, count_corpus
from simtool.tokens.tokenizer import load_tokenizer

repo, budget, how = json.load(sys.stdin)
pieces.SMALLEST, count.BATCH_BYTES = 1 << 20, 200_000
corpus, tokenizer = hub_corpus(Hub(repo), None), load_tokenizer("default")
if how.get("stream"):
    count._in_files = lambda corpus, report: corpus
seen = []

def report(message):
    seen.append(message)
    if len(seen) == how.get("interrupt_at"):
        os.kill(os.getpid(), signal.SIGINT)

parts = how.get("parts") and Path(how["parts"])
try:
    whole = count_corpus(
        corpus, tokenizer, ["token", "char3"], Budget(**budget), how.get("workers", 1), parts=parts, report=report
    )
    counts = {name: [fold.toarray().tolist() if hasattr(fold, "toarray") else fold.tolist() for fold in folds]
              for name, folds in whole.features.items()}
    print(json.dumps([whole.size, hash(json.dumps(counts)), whole.facts["source"]]))
except KeyboardInterrupt:
    print(json.dumps(sum(getattr(message, "n_tokens", 0) for message in seen)))
"""


@pytest.fixture(scope="module")
def hub():
    with hub_server(REPOSITORIES) as (endpoint, server):
        yield endpoint, server


@pytest.fixture
def counted(hub, tmp_path):
    """What a count gives, and how many bytes of text the hub sent for it."""
    endpoint, server = hub

    def count(repo: str, budget: dict, **how: object) -> tuple[list, int]:
        before = server.n_sent[repo]
        (answer,) = fresh_process(
            COUNT, [repo, budget, how], tmp_path, HF_ENDPOINT=endpoint, PYTHONHASHSEED="0", PYTHONPATH=os.getcwd()
        )
        return answer, server.n_sent[repo] - before

    return count


def column_bytes(repo: str) -> int:
    """Of the text, as it lies there."""
    total = 0
    for content in REPOSITORIES[repo].values():
        if content.startswith(b"PAR1"):
            metadata = pq.ParquetFile(io.BytesIO(content)).metadata
            total += sum(metadata.row_group(n).column(0).total_compressed_size for n in range(metadata.num_row_groups))
        else:
            total += len(content)
    return total


@pytest.mark.parametrize("repo, most", [("us/columns", 1.05), ("us/lines", 1.07)])  # 64 kB more of lines in 1 MB
def test_it_is_counted_as_the_stream_is_by_any_number_of_workers_and_read_once(counted, repo, most):
    (size, counts, source), n_sent = counted(repo, {})
    assert source == f"hub {repo} (train) at {COMMIT}"
    assert size["documents"] == N_FILES * N_DOCUMENTS
    assert counted(repo, {}, stream=True)[0] == [size, counts, f"hub {repo} (train)"]
    assert counted(repo, {}, workers=3)[0] == [size, counts, source]
    assert column_bytes(repo) <= n_sent <= most * column_bytes(repo) + LOOKED_AT


@pytest.mark.parametrize("repo", ["us/columns", "us/lines"])
def test_of_a_sample_little_more_is_read_and_workers_change_nothing(counted, repo):
    (size, counts, source), n_sent = counted(repo, {"documents": 450, "seed": 1})
    assert size["documents"] == 450
    assert n_sent < 2 * column_bytes(repo) * 450 / (N_FILES * N_DOCUMENTS)
    assert counted(repo, {"documents": 450, "seed": 1}, workers=3)[0] == [size, counts, source]
    assert counted(repo, {"documents": 450, "seed": 2})[0][1] != counts


@pytest.mark.parametrize("repo", ["us/columns", "us/lines"])
def test_its_first_documents_are_those_of_the_stream(counted, repo):
    """Of two of its three files; of the second not all is fetched."""
    (size, counts, source), n_sent = counted(repo, {"documents": 650}, workers=3)
    assert size["documents"] == 650 and source.endswith(COMMIT)
    assert counted(repo, {"documents": 650}, stream=True)[0] == [size, counts, f"hub {repo} (train)"]
    assert n_sent < 1.5 * column_bytes(repo) * 650 / (N_FILES * N_DOCUMENTS)


@pytest.mark.parametrize("repo", ["us/columns", "us/lines"])
def test_its_exact_sample_is_that_of_the_stream_and_reads_all_once(counted, repo):
    budget = {"documents": 450, "seed": 1, "exact": True}
    (size, counts, source), n_sent = counted(repo, budget, workers=3)
    assert size["documents"] == 450 and source.endswith(COMMIT)
    assert counted(repo, budget, stream=True)[0] == [size, counts, f"hub {repo} (train)"]
    assert column_bytes(repo) <= n_sent <= 1.07 * column_bytes(repo) + LOOKED_AT


@pytest.mark.slow
@pytest.mark.parametrize("budget", [{}, {"documents": 450, "seed": 1}, {"documents": 650}])
def test_an_interrupted_count_goes_on_where_it_was(counted, tmp_path, budget):
    whole, n_sent = counted("us/columns", budget)
    n_before, _ = counted("us/columns", budget, parts=str(tmp_path / "parts"), interrupt_at=8)
    assert 0 < n_before < whole[0]["tokens"]
    resumed, n_sent_again = counted("us/columns", budget, parts=str(tmp_path / "parts"))
    assert resumed == whole
    assert n_sent_again < n_sent


@pytest.mark.slow
def test_an_interrupted_exact_sample_goes_on_where_it_was(counted, tmp_path):
    budget, parts = {"tokens": 300_000, "seed": 1, "exact": True}, str(tmp_path / "parts")
    whole, n_sent = counted("us/columns", budget)
    counted("us/columns", budget, parts=parts, interrupt_at=14)
    assert list((tmp_path / "parts").glob("*-of-1.parquet"))
    resumed, n_sent_again = counted("us/columns", budget, parts=parts, workers=2)
    assert resumed == whole
    assert n_sent_again < 0.8 * n_sent


def test_a_stream_of_few_files_is_fetched_once(counted):
    """More shards than files would fetch all of them each: 16 times what is there."""
    (size, *_), n_sent = counted("us/csv", {})
    assert size["documents"] == 40
    assert n_sent <= 2 * len(REPOSITORIES["us/csv"]["train.csv"])  # and once to see which field holds the text


def surroundings(endpoint: str, folder: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "home"),
        "SIMTOOL_CACHE": str(folder / "cache"),
    }


@pytest.mark.parametrize(
    "options, sentence",
    [
        (
            ["us/csv", "--documents", "5", "--seed", "1"],
            "us/csv: us/csv is read by the builder 'csv', so it is read as a",
        ),
        (["us/private"], "us/private: its first 10,000,000 tokens at most are counted. All of it: --all,"),
        (["us/private", "--all"], f"us/private (train) at {COMMIT}"),
    ],
)
def test_it_is_said_what_is_read(hub, tmp_path, options, sentence):
    done = simtool("profile", *options, "--feature", "token", **surroundings(hub[0], tmp_path))
    assert done.returncode == 0 and sentence in done.stderr + done.stdout, done.stderr
    n_documents = 5 if options[0] == "us/csv" else 80
    assert re.search(rf"{options[0]} +{n_documents} ", done.stdout)


@pytest.mark.slow
def test_tasks_of_an_array_job_read_one_commit_and_no_token_is_written(hub, tmp_path):
    endpoint, server = hub
    env = surroundings(endpoint, tmp_path)
    parts = ["us/private", "--feature", "token", "--parts", str(tmp_path / "parts")]
    first = simtool("profile", *parts, "--part", "0/2", **env)
    assert first.returncode == 0, first.stderr
    server.commits["us/private"] = "f" * 40  # somebody changes the set
    second = simtool("profile", *parts, "--part", "1/2", **env)
    assert second.returncode == 0, second.stderr
    merged = simtool("profile", "--merge", str(tmp_path / "parts"), **env)
    assert merged.returncode == 0 and "80" in merged.stdout, merged.stderr
    (folder,) = PartsFolder(str(tmp_path / "parts")).folders()
    assert folder.manifest().commits == (COMMIT,)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = "".join(done.stdout + done.stderr for done in (first, second, merged))
    assert not re.search(rf"{TOKEN}|{SIGNATURE}", written.decode("latin-1") + shown)
