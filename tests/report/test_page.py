import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from xpsolve import report


class Page(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.open, self.scripts = [], [], [], [], 0
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src") if key in given]
        if tag == "img":
            self.images.append(given)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def built(ridge_suite, tmp_path):
    ridge_suite.add("plain.track_depth", {"k": [1, 2]}, lambda k: 3.0 * k)
    ridge_suite.add("plain.time_broken", {}, lambda: None)
    folder = ridge_suite.write()
    (folder / "box" / "torn.json").write_text("{")
    page = report.build(folder, tmp_path / "report")
    return page, page.read_text()


def test_the_page_is_whole_and_needs_no_network(built):
    path, text = built
    assert path.name == "index.html"
    page = Page(text)
    figures = sorted(p.name for p in (path.parent / "figures").iterdir())
    assert figures
    assert sorted(image["src"] for image in page.images) == [f"figures/{name}" for name in figures]
    assert all(len(image["alt"]) > 40 for image in page.images)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert (link[1:] in page.ids) if link.startswith("#") else (path.parent / link).is_file()
    assert "http" not in text
    for name in figures:
        svg = (path.parent / "figures" / name).read_text()
        # Names of XML vocabularies are no addresses to load from.
        assert not re.search(r'(href|src)="(?!#)', svg)
        assert "prefers-color-scheme" in svg
        assert "<text" in svg


def test_the_page_says_what_was_found(built):
    _, text = built
    for words in (
        "normal overtakes woodbury at n",
        "floor-bound",
        "share of limit",
        "Counted operations",
        "exceeds",  # two syncs counted, one stated
        "openblas 0.3.30",
        "not available: no CUDA device",
        "plain.track_depth",
        "plain.time_broken",
        "box/torn.json",
        "eacdf32a30",
    ):
        assert words in text


def test_a_new_benchmark_needs_no_line_here(suite, tmp_path):
    given = suite.meta("A brand new thing", "time", "seconds", "depth", family="networks")
    suite.add(
        "n.New.time_it", {"backend": ["numpy"], "depth": [1, 10, 100, 1000]}, lambda depth, **_: 1e-4 * depth, given
    )
    path = report.build(suite.write(facts=None), tmp_path / "out")
    page = Page(path.read_text())
    assert "A brand new thing" in path.read_text()
    assert "No machine limits were measured" in path.read_text()
    assert [image["src"] for image in page.images] == ["figures/n-New-time_it.svg"]


def test_names_are_text_and_never_markup(suite, tmp_path):
    name = "<script>alert(1)<b>"
    given = suite.meta("<img src=x> & |", "time", "seconds", "n")
    for machine in (name, "other"):
        suite.add(
            "a.A.time_it", {"method": ["<i>"], "n": [1, 10, 100, 1000]}, lambda n, **_: 1e-3 * n, given, machine=machine
        )
    path = report.build(suite.write(), tmp_path / "out")
    page = Page(path.read_text())
    assert page.scripts == 1
    assert all(image["src"].startswith("figures/") for image in page.images)
    assert len(page.images) == 2
    assert "&lt;script&gt;alert(1)" in path.read_text()
    markdown = (path.parent / "summary.md").read_text()
    assert "<" not in markdown
    for svg in (path.parent / "figures").iterdir():
        assert "<img" not in svg.read_text()


def test_tables_for_other_programs(built):
    path, _ = built
    fits = pd.read_csv(path.parent / "scaling.csv")
    assert {"alpha", "low", "high", "theory", "verdict", "local_slopes"} <= set(fits.columns)
    everything = pd.read_csv(path.parent / "results.csv")
    assert set(everything["status"]) == {"ok", "failed", "skipped"}
    assert len(fits) < len(everything)
    absent = everything[everything["status"] == "skipped"]
    assert set(absent["reason"]) == {"missing backend"}
    assert set(absent["detail"]) == {"no CUDA device"}


def test_figures_of_an_earlier_report_do_not_stay(ridge_suite, tmp_path):
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "stale.svg").write_text("<svg/>")
    (out / "notes.txt").write_text("mine")
    report.build(ridge_suite.write(), out)
    assert not (out / "figures" / "stale.svg").exists()
    assert (out / "notes.txt").exists()
    assert not list(out.rglob("*.part"))


def test_the_same_results_give_the_same_report(ridge_suite, tmp_path):
    folder = ridge_suite.write()
    one, two = (report.build(folder, tmp_path / name).parent for name in ("one", "two"))
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
