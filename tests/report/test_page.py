import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from xpsolve import report
from xpsolve.report.page import MARK


class Page(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    VOID = ("meta", "img", "br", "link", "input", "source")

    def __init__(self, text):
        super().__init__()
        self.images, self.narrow, self.links, self.ids, self.open, self.scripts = [], [], [], [], [], 0
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src") if key in given]
        if tag == "source":
            self.narrow.append(given["srcset"])
        if tag == "img":
            self.images.append(given)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def pages(folder):
    return {path.name: Page(path.read_text()) for path in sorted(folder.glob("*.html"))}


@pytest.fixture
def built(ridge_suite, tmp_path):
    ridge_suite.add("plain.track_depth", {"k": [1, 2]}, lambda k: 3.0 * k)
    ridge_suite.add("plain.time_broken", {}, lambda: None)
    folder = ridge_suite.write()
    (folder / "box" / "torn.json").write_text("{")
    page = report.build(folder, tmp_path / "report")
    return page, {path.name: path.read_text() for path in page.parent.glob("*.html")}


def pages_are_whole_and_need_no_network(built):
    path, texts = built
    assert path.name == "index.html"
    found = pages(path.parent)
    own = {f"{name}.html" for name in ("index", "exponents", "backends", "machine", "predicted-gpu", "methods")}
    assert own | {"ridge.html", "other.html"} == set(found)
    figures = sorted(p.name for p in (path.parent / "figures").iterdir())
    shown = [name for page in found.values() for name in (*(one["src"] for one in page.images), *page.narrow)]
    assert sorted(shown) == [f"figures/{n}" for n in figures]
    for name, page in found.items():
        assert all(len(image["alt"]) > 40 for image in page.images)
        assert len(page.ids) == len(set(page.ids))
        assert "http" not in texts[name]
        for link in page.links:
            file, _, place = link.partition("#")
            assert not file or (path.parent / file).is_file()
            assert not place or place in found[file or name].ids
    for name in figures:
        svg = (path.parent / "figures" / name).read_text()
        # Names of XML vocabularies are no addresses to load from.
        assert not re.search(r'(href|src)="(?!#)', svg)
        assert "prefers-color-scheme" in svg
        assert "<text" in svg


def every_page_is_reached_from_every_page(built):
    path, _ = built
    found = pages(path.parent)
    for page in found.values():
        assert set(found) <= set(page.links)


SAID = {
    "index.html": ("normal overtakes woodbury at n", "Scaling", 'href="ridge.html"', "eacdf32a30"),
    "ridge.html": ("floor-bound", "share of limit", "Counted operations", "exceeds", "<summary>"),
    "machine.html": ("openblas 0.3.30", "not available: no CUDA device", "Predicted against measured", "right"),
    "backends.html": ("the fastest was numpy in", "No accelerator was measured"),
    "exponents.html": ("agree with the exponent of their cost", "floor-bound"),
    "other.html": ("plain.track_depth",),
    "methods.html": ("plain.time_broken", "box/torn.json", "no CUDA device"),
}


def each_page_says_what_was_found(built):
    _, texts = built
    for name, words in SAID.items():
        for word in words:
            assert word in texts[name]


def test_a_whole_report(built):
    """One report, which takes seconds to build, tested in six ways."""
    for look in (
        pages_are_whole_and_need_no_network,
        every_page_is_reached_from_every_page,
        each_page_says_what_was_found,
        the_page_of_a_machine_that_is_not_here_says_so,
        tables_for_other_programs,
        the_same_results_give_the_same_report,
    ):
        look(built)


def test_a_new_benchmark_needs_no_line_here(suite, tmp_path):
    given = suite.meta("A brand new thing", "time", "seconds", "depth", family="networks")
    suite.add(
        "n.New.time_it", {"backend": ["numpy"], "depth": [1, 10, 100, 1000]}, lambda depth, **_: 1e-4 * depth, given
    )
    path = report.build(suite.write(facts=None), tmp_path / "out")
    text = (path.parent / "networks.html").read_text()
    assert "A brand new thing" in text
    assert [image["src"] for image in Page(text).images] == ["figures/n-New-time_it.svg"]
    assert "No machine limits were measured" in (path.parent / "machine.html").read_text()
    assert not (path.parent / "peers.html").exists()


def test_families_called_like_a_page_or_like_each_other_have_pages_of_their_own(suite, tmp_path):
    for i, family in enumerate(("Index", "a b", "a-b", "…")):
        given = suite.meta(f"Benchmark {i}", "time", "seconds", "n", family=family)
        suite.add(f"b.B{i}.time_it", {"n": [1, 10, 100, 1000]}, lambda n: 1e-3 * n, given)
    out = report.build(suite.write(), tmp_path / "out").parent
    for name, words in (("family-index", 0), ("a-b", 1), ("a-b-2", 2), ("family", 3)):
        assert "<h2>Scaling</h2>" in (out / f"{name}.html").read_text()
        assert f"Benchmark {words}" in (out / f"{name}.html").read_text()


def test_names_are_text_and_never_markup(suite, tmp_path):
    name = "<script>alert(1)<b>"
    given = suite.meta("<img src=x> & |", "time", "seconds", "n", family="<i>family")
    for machine in (name, "other"):
        suite.add(
            "a.A.time_it",
            {"method": ["<i>"], "backend": ["<u>", "numpy"], "n": [1, 10, 100, 1000]},
            lambda n, **_: 1e-3 * n,
            given,
            machine=machine,
        )
    path = report.build(suite.write(), tmp_path / "out")
    for page in pages(path.parent).values():
        assert page.scripts == 1
        assert all(image["src"].startswith("figures/") for image in page.images)
    for text in (page.read_text() for page in path.parent.glob("*.html")):
        assert "&lt;script&gt;alert(1)" in text
        assert not re.search(r"<(i|u|b)>", text)
    markdown = (path.parent / "summary.md").read_text()
    assert "<" not in markdown
    for svg in (path.parent / "figures").iterdir():
        assert "<img" not in svg.read_text()


def tables_for_other_programs(built):
    path, _ = built
    fits = pd.read_csv(path.parent / "scaling.csv")
    assert {"alpha", "low", "high", "interval", "theory", "kind", "cause", "local_slopes"} <= set(fits.columns)
    everything = pd.read_csv(path.parent / "results.csv")
    assert set(everything["status"]) == {"ok", "failed", "skipped"}
    assert len(fits) < len(everything)
    absent = everything[everything["status"] == "skipped"]
    assert set(absent["reason"]) == {"missing backend"}
    assert set(absent["detail"]) == {"no CUDA device"}


def test_figures_and_pages_of_an_earlier_report_do_not_stay(small_suite, tmp_path):
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "stale.svg").write_text("<svg/>")
    (out / "notes.txt").write_text("mine")
    (out / "notes.html").write_text("<p>mine")
    (out / "gone.html").write_text(f"<head>{MARK}</head>")
    report.build(small_suite.write(), out)
    assert not (out / "figures" / "stale.svg").exists()
    assert not (out / "gone.html").exists()
    assert (out / "notes.txt").exists()
    assert (out / "notes.html").exists()
    assert not list(out.rglob("*.part"))


def the_same_results_give_the_same_report(built):
    one = built[0].parent
    two = report.build(one.parent / "results", one.parent / "two").parent
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(two) for p in two.rglob("*") if p.is_file())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_the_summary_says_what_there_was_no_time_for(suite, tmp_path):
    grid = {"backend": ["numpy", "torch"], "n": [10, 20, 40, 80]}
    suite.add(
        "r.A.time_solve",
        grid,
        lambda backend, n: 1e-3 * n if backend == "numpy" and n != 20 else math.nan,
        suite.meta("A", "time", "seconds", "n"),
    )
    late = [("numpy", 20), *(("torch", n) for n in grid["n"])]
    for backend, n in late:
        suite.note(f"r.A.time_solve({backend!r}, {n})", missed=("over budget", "quick in 300 s"))
    text = report.build(suite.write(), tmp_path / "report").read_text()
    assert "Left out for lack of time (quick in 300 s): 5 of 8 points, in the family ridge." in text
    assert "Sweeps missing as a whole: 1; the others lack some of their sizes." in text
    table = (tmp_path / "report" / "results.csv").read_text()
    assert "over budget" in table


def test_what_varies_where_a_solver_stops_is_drawn_as_convergence_and_not_fitted(suite, tmp_path):
    grid = {"method": ["ista", "fista"], "digits": [2, 4, 6, 8]}
    speed = {"ista": 1.0, "fista": 0.5}
    for name, role, value in (
        ("time_solve", "time", lambda method, digits: speed[method] * digits),
        ("track_error", "error", lambda method, digits: 0.9),
    ):
        quantity = "seconds" if role == "time" else "relative error"
        meta = suite.meta("Lasso to a gap", role, quantity, "digits", family="lasso", tol=1.01)
        suite.add(f"l.Gap.{name}", grid, value, meta)
    page = report.build(suite.write(), tmp_path / "report").parent / "lasso.html"
    assert [image["src"] for image in Page(page.read_text()).images] == ["figures/l-Gap-time_solve.svg"]
    assert "Lasso to a gap: fista is the first at 1e-08, after 4" in page.read_text()
    assert pd.read_csv(page.parent / "scaling.csv").empty


def test_three_commits_make_a_history(suite, tmp_path):
    for i, commit in enumerate("abc"):
        meta = suite.meta("A", "time", "seconds", "n")
        given = {"commit": commit * 40, "started": 1_795_309_237_117 + i * 1000}
        suite.add("a.A.time_it", {"n": [1, 2, 3]}, lambda n, i=i: n * (1.0 - 0.1 * i), meta, **given)
    out = report.build(suite.write(), tmp_path / "report")
    assert 'src="figures/history.svg"' in out.read_text()
    assert "3 times over 3 commits: the median is now 0.8 of the first" in out.read_text()


def the_page_of_a_machine_that_is_not_here_says_so(built):
    path, texts = built
    page = texts["predicted-gpu.html"]
    assert "Nothing on this page was measured" in page
    assert "Predicted, not measured" in (path.parent / "figures" / "predicted-gpu.svg").read_text()
    assert "faster from" in page
