"""The pages of the site: every block of Python in them runs, and what else is in a block is of a known kind."""

import importlib
import inspect
import re
from contextlib import nullcontext
from pathlib import Path

import check_links
import pages
import pytest

import xpsolve as xs
from xpsolve import testing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {DOCS / "gallery", DOCS / "reference" / "generated"}  # by the build, from files that are tested elsewhere
PAGES = sorted(p for p in DOCS.rglob("*.md") if not MADE & set(p.parents))
LANGUAGES = {"python", "sh", "text", "toml", "yaml", "diff", "json"}  # or a directive, as {toctree}


def name(path):
    return path.relative_to(DOCS).as_posix()


@pytest.mark.parametrize("path", [p for p in PAGES if pages.python_blocks(p)], ids=name)
def test_the_python_of_a_page_runs(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    pages.run(path)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_blocks_are_of_a_known_kind(path):
    found = pages.blocks(path.read_text("utf-8"))
    for block in found:
        assert re.match(r"\{[\w:-]+\}", block.language) or block.language in LANGUAGES, (block.line, block.language)
        assert block.not_run is None or len(block.not_run.split()) > 1, f"line {block.line}: say why it is not run"
    opened = len(re.findall(r"^ *```+[^\s`]", path.read_text("utf-8"), re.MULTILINE))
    assert opened == len(found), "a block is not closed, or within another"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_names_of_the_library_in_code_font_exist(path):
    text = path.read_text("utf-8")
    prose = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    added = set(re.findall(r"^(?:class|def) (\w+)", text, re.MULTILINE))  # by a page that shows how
    for dotted in set(re.findall(r"`(?:xs|xpsolve)\.([A-Za-z][\w.]*?)(?:\(.*?\))?`", prose)):
        thing, known = xs, "xpsolve"
        if dotted.split(".")[-1] in added:
            continue
        for part in dotted.split("."):
            known = f"{known}.{part}"
            thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(known)


def test_the_reference_has_every_public_name():
    estimators = pytest.importorskip("xpsolve.estimators")
    listed = set()
    for page in (DOCS / "reference").glob("*.rst"):
        module = ""
        for line in page.read_text("utf-8").splitlines():
            if found := re.match(r"\.\. (?:auto|current)?module:: ([\w.]+)", line):
                module = found[1]
            elif found := re.match(r"   ([A-Za-z]\w*)$", line):
                thing = getattr(importlib.import_module(module), found[1], None)
                assert thing is not None, f"docs/reference/{page.name}: {module} has no {found[1]}"
                listed.add(id(thing))
    missing = []
    for module in (xs, xs.autodiff, xs.networks, xs.operators, xs.penalties, xs.problems, estimators, testing):
        for public in module.__all__:
            thing = getattr(module, public)
            if not inspect.ismodule(thing) and id(thing) not in listed:
                missing.append(f"{module.__name__}.{public}")
    assert not missing, f"add a line to the page of its subject in docs/reference, such as composite.rst: {missing}"


def test_links_are_followed(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there">b</a><a href="#here" id="here">a</a>', "utf-8")
    (tmp_path / "b.html").write_text(
        '<p id="there"><img src="c.svg"><a href="https://example.org">away</a></p>', "utf-8"
    )
    assert check_links.broken(tmp_path) == (["b.html: c.svg: no such file"], 3)
    (tmp_path / "b.html").write_text("<p>nothing", "utf-8")
    assert check_links.broken(tmp_path) == (["a.html: b.html#there: no such anchor"], 2)


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "A page.\n\n```python\nx = 1\n```\n\n<!-- not run: needs a GPU -->\n```python\nx = 1 / 0\n```\n\n"
        "- a list\n\n  ```python\n  y = x + 1\n  ```\n\n```{toctree}\n*\n```\n\n`a/file.py`\n\n```python\n1 / 0\n```\n",
        "utf-8",
    )
    first, second, third, fourth, fifth = pages.blocks(page.read_text("utf-8"))
    assert (first.code, first.line, first.not_run) == ("x = 1\n", 4, None)
    assert second.not_run == "needs a GPU"
    assert (third.code, fourth.language) == ("y = x + 1\n", "{toctree}")
    assert fifth.not_run == "it is the file `a/file.py`"
    assert pages.run(page)["y"] == 2


def test_what_a_page_says_is_printed(tmp_path):
    page = tmp_path / "page.md"
    for shown, right in (
        ("1.50 in 20 steps", True),
        ("1.51 in 20 steps", True),
        ("1.5 in 20", False),
        ("1.7 in 20 steps", False),
    ):
        page.write_text(f"```python\nprint(1.5, 'in', 20, 'steps')\n```\n\n```text\n{shown}\n```\n", "utf-8")
        with nullcontext() if right else pytest.raises(AssertionError, match=r"page\.md, line 2: it prints"):
            pages.run(page)
    assert pages.alike("a 1e-9 [2 3]", "a 1.0e-09 [2 3]")
    assert not pages.alike("a 31", "a 30")
    assert not pages.alike("x_1", "x_2")


def test_an_error_names_the_line_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A page.\n\n```python\nx = 0\n\n1 / x\n```\n", "utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        pages.run(page)
    assert caught.traceback[-1].lineno + 1 == 6
