"""Whether every link within a folder of pages leads somewhere: ``python check_links.py build/docs/html``.

Files and anchors are looked for, in pages, figures and scripts; nothing is asked of a network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect id, name, href and src."""
        for key, value in attrs:
            if value and (key == "id" or (key == "name" and tag == "a")):
                self.anchors.add(value)
            elif value and key in ("href", "src"):
                self.links.add(value)


def broken(folder: Path) -> tuple[list[str], int]:
    """A line for each link that leads nowhere, and how many were followed."""
    folder = folder.resolve()
    files = (path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts)  # a theme's templates
    pages = {path: Page(path.read_text("utf-8")) for path in files}
    faults, followed = [], 0
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            followed += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(parts.fragment)
            if not target.is_file():
                faults.append(f"{path.relative_to(folder)}: {link}: no such file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                faults.append(f"{path.relative_to(folder)}: {link}: no such anchor")
    return faults, followed


if __name__ == "__main__":
    faults, followed = broken(Path(sys.argv[1]))
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{followed} links within the site, {len(faults)} of them broken")
    sys.exit(bool(faults))
