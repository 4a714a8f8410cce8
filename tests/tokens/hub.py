"""A stand-in for the hub's models on this machine, that `huggingface_hub` really talks to."""

import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def served(repositories: dict[str, dict[str, bytes]]):
    """The endpoint of a hub with these files; a repository whose name begins with "gated/" says that it is."""

    class StandIn(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
                files = repositories.get(match[1])
                names = [{"rfilename": name} for name in files or ()]
                body = json.dumps({"id": match[1], "sha": COMMIT, "siblings": names}).encode()
                return self.answer(200, body) if files is not None else self.answer(404, error="RepoNotFound")
            repo, name = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path).groups()
            if repo.startswith("gated/"):
                return self.answer(403, error="GatedRepo")
            content = repositories[repo].get(name)
            self.answer(404, error="EntryNotFound") if content is None else self.answer(200, content)

        def answer(self, status: int, body: bytes = b"{}", error: str = ""):
            self.send_response(status)
            headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            headers |= {"X-Error-Code": error, "X-Error-Message": error} if error else {}
            for header, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(header, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
