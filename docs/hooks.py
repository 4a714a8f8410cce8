"""For the documentation: pages that stand beside what they describe (figures, findings, benchmarks, contributing),
and what is known by name, from the catalogues."""

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


def on_files(files: Files, config: Any) -> Files:
    for page, path in PAGES.items():
        files.append(File.generated(config, page, content=as_page(path)))
    catalogue = runpy.run_path(str(ROOT / "docs" / "catalogue.py"))["page"]()
    files.append(File.generated(config, "catalogue.md", content=catalogue))
    for picture in (ROOT / "figures" / "out").glob("*.png"):
        files.append(File.generated(config, f"out/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Pictures of figures, which stand outside docs/, where the site has them."""
    return markdown.replace("](../figures/out/", "](out/")


def as_page(path: Path) -> str:
    """The text, with its links as the site has them: a page, a picture, or no link where the site has nothing."""
    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", lambda match: _link(path, *match.groups()), path.read_text("utf-8"))


def _link(path: Path, picture: str, text: str, target: str) -> str:
    name, hash_sign, anchor = target.partition("#")
    if "://" in target or not name:
        return f"{picture}[{text}]({target})"
    target_path = (path.parent / name).resolve()
    page = LINKS.get(target_path)
    if page is None and target_path.parent == ROOT / "figures" / "out":
        page = f"out/{target_path.name}"
    if page is None and target_path.is_relative_to(ROOT / "docs"):
        page = str(target_path.relative_to(ROOT / "docs"))
    return f"{picture}[{text}]({page}{hash_sign}{anchor})" if page else f"`{text}`" if "/" in text else text
