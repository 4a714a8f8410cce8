"""A stand-in for the hub's datasets on this machine, that `datasets`, `huggingface_hub` and fsspec really talk to.

It answers as the hub does: repository and revision, the tree in pages, paths-info, and files with ranges. Large files
(here: parquet) lie elsewhere, under an address with a signature that the hub sends on to.
"""

import hashlib
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIGNATURE = "f00dsignature"
TOKEN = "hf_secretsecretsecret"
PAGE = 5  # entries of the tree; the hub's pages have 1,000


def rows(first: int, n: int) -> list[dict]:
    return [{"text": f"row {i}", "label": i % 2} for i in range(first, first + n)]


def parquet(table: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(table).write_parquet(buffer)
    return buffer.getvalue()


def jsonl(table: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table).encode()


def card(**configs: dict[str, str]) -> bytes:
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", ""]).encode()


class HubHandler(BaseHTTPRequestHandler):
    """Repositories whose names begin with us/gated are gated, with us/private are seen with a token alone.

    n_sent     bytes of files that were sent, by repository
    paths      of all requests
    commits    that "main" is, where it is another than COMMIT
    """

    protocol_version = "HTTP/1.1"
    repositories: ClassVar[Mapping[str, Mapping[str, bytes]]] = {}
    n_sent: ClassVar[Counter[str]] = Counter()
    paths: ClassVar[list[str]] = []
    commits: ClassVar[dict[str, str]] = {}

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        paths = re.findall(r"paths=([^&]*)", body) or json.loads(body or "{}").get("paths", [])
        self.answer_api([unquote(path) for path in paths])

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.paths.append(self.path)
        if path.startswith("/api/datasets/"):
            return self.answer_api()
        if path.startswith("/elsewhere/"):
            return self.answer_elsewhere(path)
        match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+|refs/convert/parquet)/(.+)", path)
        files = self.files_of(match[1]) if match else None
        if files is None:
            return self.refuse(404, "RepoNotFound")
        if match[1].startswith("us/gated"):
            return self.refuse(403 if match[1] == "us/gated" else 401, "GatedRepo")
        if match[3] not in files:
            return self.refuse(404, "EntryNotFound")
        if match[3].endswith(".parquet"):
            return self.send_on(match[1], match[3], files[match[3]])
        self.send_file(match[1], files[match[3]])

    def files_of(self, repo: str) -> Mapping[str, bytes] | None:
        if repo.startswith("us/private") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return None
        return self.repositories.get(repo)

    def answer_api(self, paths: list[str] | None = None):
        path = unquote(urlsplit(self.path).path)
        repo, _, what = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/(.*))?", path).groups()
        files = self.files_of(repo)
        if files is None:
            return self.refuse(404, "RepoNotFound")
        if repo == "us/broken":
            return self.refuse(500, "")
        commit = self.commits.get(repo, COMMIT)
        if not what or what.startswith("revision/"):
            revision = (what or "revision/main").removeprefix("revision/")
            if revision not in ("main", COMMIT, commit, "refs/convert/parquet"):
                return self.refuse(404, "RevisionNotFound")
            sha = revision if re.fullmatch("[0-9a-f]{40}", revision) else commit
            return self.send_json({"id": repo, "sha": sha, "siblings": [{"rfilename": f} for f in files]})
        folder = what.partition("/")[2].partition("/")[2].strip("/")
        entries = {name: self.entry(name, data) for name, data in files.items()}
        for name in files:
            parts = name.split("/")[:-1]
            for depth in range(len(parts)):
                directory = "/".join(parts[: depth + 1])
                entries[directory] = {"type": "directory", "path": directory, "oid": "0" * 40, "size": 0}
        if paths is not None:
            return self.send_json([entries[p] for p in paths if p in entries])
        self.send_tree(folder, entries)

    def send_tree(self, folder: str, entries: dict[str, dict]):
        """A page of the tree below a folder, and where the next one is."""
        inside = f"{folder}/" if folder else ""
        query = parse_qs(urlsplit(self.path).query)
        recursive = query.get("recursive", [""])[0].lower() == "true"
        names = [
            name
            for name in sorted(entries)
            if name.startswith(inside) and (recursive or "/" not in name[len(inside) :])
        ]
        if folder and not names:
            return self.refuse(404, "EntryNotFound")
        first = int(query.get("cursor", ["0"])[0])
        link = f"<http://{self.headers['Host']}{urlsplit(self.path).path}?recursive={recursive}&cursor={first + PAGE}>"
        headers = {"Link": f'{link}; rel="next"'} if first + PAGE < len(names) else {}
        self.send_json([entries[name] for name in names[first : first + PAGE]], headers)

    def entry(self, name: str, data: bytes) -> dict:
        return {"type": "file", "path": name, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}

    def send_json(self, value: object, headers: Mapping[str, str] = {}):
        self.send_body(200, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    def send_on(self, repo: str, name: str, data: bytes):
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        location = f"http://{self.headers['Host']}/elsewhere/{repo}/{name}?X-Amz-Signature={SIGNATURE}"
        headers = {"Location": location, "X-Linked-Size": str(len(data)), "X-Linked-Etag": etag, "ETag": etag}
        self.send_body(302, b"", headers | {"X-Repo-Commit": COMMIT})

    def answer_elsewhere(self, path: str):
        if SIGNATURE not in self.path:
            return self.refuse(403, "")
        owner, name, file = path.removeprefix("/elsewhere/").split("/", 2)
        if name == "forbidden-late":
            return self.refuse(403, "")
        self.send_file(f"{owner}/{name}", self.repositories[f"{owner}/{name}"][file])

    def send_file(self, repo: str, data: bytes):
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span:
            first, last = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data = data[first : last + 1]
        if self.command != "HEAD":
            self.n_sent[repo] += len(data)
        self.send_body(206 if span else 200, data, headers)

    def refuse(self, status: int, code: str):
        self.send_body(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def send_body(self, status: int, body: bytes, headers: Mapping[str, str]):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def hub_server(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[tuple[str, type[HubHandler]]]:
    """The address of a hub with these files (HF_ENDPOINT), and what it sent so far."""
    state = {"repositories": repositories, "n_sent": Counter(), "paths": [], "commits": {}}
    handler = type("Handler", (HubHandler,), state)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
