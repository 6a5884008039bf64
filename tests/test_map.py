"""The map of the course and the layers of the architecture say where things are: each of them is there."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import xpsolve as xs

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
MAP = (ROOT / "docs" / "map.md").read_text("utf-8")
ROWS = [line for line in MAP.splitlines() if line.startswith("|") and "`" in line]


def resolve(name):
    """The thing with this dotted name; a module on the way may not be imported yet."""
    thing, path = xs, "xpsolve"
    for part in name.split(".")[1:]:
        path = f"{path}.{part}"
        try:
            thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(path)
        except ModuleNotFoundError:
            pytest.fail(f"docs/map.md names {name}, and {path} does not exist: is it public in its __init__.py?")
    return thing


def source(thing):
    file = thing.__file__ if inspect.ismodule(thing) else inspect.getsourcefile(inspect.unwrap(thing))
    return Path(file).resolve().relative_to(ROOT.resolve()).as_posix()


def test_the_map_has_rows():
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.findall(r"`([\w.]+)`", row)[0])
def test_functions_are_in_the_files_beside_them(row):
    names, links = re.findall(r"`((?:xs|xpsolve)\.[\w.]+)`", row), re.findall(r"\]\(\.\./([\w./]+)\)", row)
    assert names
    wanted = {source(resolve(name)) for name in names}
    assert set(links) == wanted, f"link the files of the functions in this row of docs/map.md: {sorted(wanted)}"


def test_links_lead_somewhere():
    made = ("gallery/", "generated/", "reports/")  # by the build, and by measuring
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", page.read_text("utf-8")):
            if not any(part in link for part in made) and not any(part in page.as_posix() for part in made):
                target = ROOT / "docs" / link[1:] if link.startswith("/") else page.parent / link
                assert target.exists(), f"{page.name}: {link}"


def test_the_architecture_shows_the_layers_that_lint_checks():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    wanted = [{name.strip().removeprefix("xpsolve.") for name in layer.split(":")} for layer in contracts[0]["layers"]]
    shown = []
    for layer, names in re.findall(r"^\| (\d*) \| (.*?) \|", ARCHITECTURE.read_text("utf-8"), re.MULTILINE):
        if layer:
            shown.append(set())
        shown[-1] |= set(re.findall(r"`(\w+)(?:/|\.py)`", names))
    assert shown == wanted
