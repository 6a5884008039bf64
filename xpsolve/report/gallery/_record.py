"""Beside the figures, ``gallery.json`` says what each shows, where it was run and how long that took.

{"version": 1, "figures": [{"name", "family", "title", "alt", "caption", "backend", "ran", "seconds"}, …]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree

import xpsolve
from xpsolve.arrays.backends import Backend
from xpsolve.files import write_text
from xpsolve.report.gallery._picture import Picture

FILE, VERSION = "gallery.json", 1
WORDS = ("name", "family", "title", "alt", "caption")


@dataclass(frozen=True)
class Drawn:
    """A figure in a folder, as ``name.svg``: the words of its `Picture`, the backend that it was run on, the versions
    of xpsolve and of the backend's library, and the seconds that running and drawing took."""

    name: str
    family: str
    title: str
    alt: str
    caption: str
    backend: str
    ran: str
    seconds: float

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if not isinstance(value, (int | float) if key == "seconds" else str):
                raise TypeError(f"{key}: unexpected {value!r}")
        if not re.fullmatch(r"[a-z0-9-]+", self.name):  # it becomes part of a path
            raise ValueError(f"name: expected small letters, digits and hyphens, got {self.name!r}")


def run(picture: Picture, backend: Backend) -> tuple[str, float]:
    """The SVG of a figure, and the seconds that running and drawing took."""
    begin = perf_counter()
    text = picture.svg(backend)
    return text, round(perf_counter() - begin, 3)


def note(picture: Picture, backend: Backend, out: Path, text: str, seconds: float, place: Sequence[str]) -> Drawn:
    """Write a figure into a folder, and into its list: in the order of `place`, the others in the places they have."""
    words = {key: getattr(picture, key) for key in WORDS}
    ran = f"xpsolve {xpsolve.__version__}, {backend.library} {backend.version}"
    drawn = Drawn(**words, backend=backend.name, ran=ran, seconds=seconds)
    write_text(out / f"{drawn.name}.svg", text)
    noted = {other.name: other for other in read(out)[0]} | {drawn.name: drawn}  # an earlier one keeps its place
    order = {name: i for i, name in enumerate(place)}
    figures = [asdict(one) for one in sorted(noted.values(), key=lambda one: order.get(one.name, len(order)))]
    write_text(out / FILE, json.dumps({"version": VERSION, "figures": figures}, indent=1, ensure_ascii=False) + "\n")
    return drawn


def read(folder: Path) -> tuple[dict[Drawn, str], list[str]]:
    """What a folder holds, from each figure to its SVG, and a line for each thing that had to be left out."""
    path, found, warnings = folder / FILE, dict[Drawn, str](), list[str]()
    if not path.exists():
        return found, warnings
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return found, [f"{path}: not readable as JSON ({error}); skipped"]
    figures = content.get("figures") if isinstance(content, dict) and content.get("version") == VERSION else None
    if not isinstance(figures, list):
        return found, [f"{path}: not a list of figures of version {VERSION}; skipped, `xpsolve figures` writes it anew"]
    for i, entry in enumerate(figures):
        try:
            drawn = Drawn(**entry)
            text = (folder / f"{drawn.name}.svg").read_text(encoding="utf-8")
            ElementTree.fromstring(text)  # a damaged file cannot be shown
        except (TypeError, ValueError, OSError, ElementTree.ParseError) as error:
            warnings.append(f"{path}: figure {i + 1} cannot be shown ({error}); skipped")
        else:
            found[drawn] = text
    return found, warnings
