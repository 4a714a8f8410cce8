"""For the documentation: pages that stand beside what they describe (figures, findings, benchmarks, contributing),
and what is known by name, from the catalogues."""

import os
import re
import runpy
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# page: where it is kept
PAGES = {
    "gallery.md": ROOT / "figures" / "README.md",
    "results.md": ROOT / "analyses" / "README.md",
    "benchmarks.md": ROOT / "benchmarks" / "README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "changelog.md": ROOT / "CHANGELOG.md",
}
LINKS = {path: page for page, path in PAGES.items()}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    for page, path in PAGES.items():
        files.append(File.generated(config, page, content=as_page(path)))
    catalogue = runpy.run_path(str(ROOT / "docs" / "catalogue.py"))["page"]()
    files.append(File.generated(config, "catalogue.md", content=catalogue))
    for picture in (ROOT / "figures" / "out").glob("*.png"):
        files.append(File.generated(config, f"out/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page of docs/ links to files of the repository; the site has them where PAGES and `on_files` put them."""
    path = ROOT / "docs" / page.file.src_uri
    return LINK.sub(lambda match: _link_of_docs(path, *match.groups()), markdown) if path.exists() else markdown


def _link_of_docs(path: Path, picture: str, text: str, target: str) -> str:
    name, hash_sign, anchor = target.partition("#")
    page = _page_of(path, name)
    site = os.path.relpath(ROOT / "docs" / page, path.parent) if page else name
    return f"{picture}[{text}]({site}{hash_sign}{anchor})"


def _page_of(path: Path, name: str) -> str | None:
    """Where the site has a file of the repository that a page names; None: it does not, or it is a page of docs/."""
    target = (path.parent / name).resolve()
    return f"out/{target.name}" if target.parent == ROOT / "figures" / "out" else LINKS.get(target)


def as_page(path: Path) -> str:
    """The text, with its links as the site has them: a page, a picture, or no link where the site has nothing."""
    return LINK.sub(lambda match: _link(path, *match.groups()), path.read_text("utf-8"))


def _link(path: Path, picture: str, text: str, target: str) -> str:
    name, hash_sign, anchor = target.partition("#")
    if "://" in target or not name:
        return f"{picture}[{text}]({target})"
    page = _page_of(path, name)
    target_path = (path.parent / name).resolve()
    if page is None and target_path.is_relative_to(ROOT / "docs"):
        page = str(target_path.relative_to(ROOT / "docs"))
    return f"{picture}[{text}]({page}{hash_sign}{anchor})" if page else f"`{text}`" if "/" in text else text
