"""The pages in headless Chromium: no message, no broken picture, nothing wider than a phone, tables that sort.

Every page gets a probe that examines it once it is loaded; one page holds them all in frames of a phone's width.
"""

import json
import re
import shutil
import subprocess

import pytest

from xpsolve import report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

WIDTH = 380
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --hide-scrollbars --enable-logging=stderr --virtual-time-budget=20000"
).split()
EARLY = """<script>
window.odd = []; addEventListener("error", event => odd.push(String(event.message || event.target.src)), true);
</script>"""
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement, button = document.querySelector("th button");
  const column = () => [...button.closest("table").tBodies[0].rows].map(row => row.cells[0].dataset.key);
  const before = button ? column() : [];
  if (button) button.click();
  const sorted = button ? column() : [];
  if (button) button.click();
  parent.postMessage({
    name: location.pathname.split("/").pop(), odd, sorted, backwards: button ? column() : [], before,
    broken: [...document.images].filter(one => !one.complete || !one.naturalWidth).map(one => one.src),
    blank: [...document.images].filter(one => !one.alt).length,
    wide: root.scrollWidth - root.clientWidth,
    small: [...document.querySelectorAll("p, li, td")].filter(
      one => parseFloat(getComputedStyle(one).fontSize) < 12
    ).length,
  }, "*");
});
</script>"""


def looked_at(folder, names):
    """Load every page in a frame; the results of the probes, and the messages on the console."""
    frames = "".join(f'<iframe src="{name}" width="{WIDTH}" height="800"></iframe>' for name in names)
    listen = (
        "const all = []; addEventListener('message', e => { all.push(e.data); "
        "document.getElementById('found').textContent = JSON.stringify(all); });"
    )
    harness = folder / "harness.html"
    harness.write_text(f'<!DOCTYPE html><meta charset="utf-8"><pre id="found"></pre><script>{listen}</script>{frames}')
    for name in names:
        page = folder / name
        text = page.read_text().replace("<head>", f"<head>{EARLY}", 1).replace("</body>", f"{PROBE}</body>", 1)
        page.write_text(text)
    profile = folder / "profile"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", harness.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', ran.stdout, re.DOTALL)[1]
    for code, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        found = found.replace(code, sign)
    console = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    return {one["name"]: one for one in json.loads(found)}, console


def test_pages_open_from_disk_at_the_width_of_a_phone(ridge_suite, tmp_path):
    ridge_suite.add(
        "peers.Ridge.time_solve",
        {"library": ["xpsolve", "scikit-learn"], "case": ["a long name of a case, 4000×200"]},
        lambda library, **_: 1.0 if library == "xpsolve" else 2.0,
        ridge_suite.meta("Ridge <b>against</b> others", "time", "seconds"),
    )
    ridge_suite.add(
        "peers.Ridge.track_error",
        {"library": ["xpsolve", "scikit-learn"], "case": ["a long name of a case, 4000×200"]},
        lambda **_: 0.0,
        ridge_suite.meta("Ridge <b>against</b> others", "error", "relative error"),
    )
    ridge_suite.add("an_unbroken_name_without_a_single_space" * 3 + ".time_it", {"n": [1]}, lambda n: None)
    folder = report.build(ridge_suite.write(), tmp_path / "a report").parent
    names = sorted(path.name for path in folder.glob("*.html"))
    found, console = looked_at(folder, names)
    assert sorted(found) == names
    assert not console
    for name, one in found.items():
        assert not one["odd"], name
        assert not one["broken"], name
        assert not one["blank"], name
        assert one["wide"] <= 0, name
        assert not one["small"], name
        assert sorted(one["sorted"]) == sorted(one["before"]), name
    assert found["ridge.html"]["sorted"] == sorted(found["ridge.html"]["sorted"], key=str.lower)
    assert found["index.html"]["backwards"] == found["index.html"]["sorted"][::-1]


def test_the_probe_sees_what_is_wrong(tmp_path):
    (tmp_path / "bad.html").write_text(
        '<html><head></head><body><img src="none.svg"><p style="width:900px">wide</p>'
        "<script>console.log('said'); missing()</script></body></html>"
    )
    found, console = looked_at(tmp_path, ["bad.html"])
    one = found["bad.html"]
    assert one["broken"]
    assert one["blank"] == 1
    assert one["wide"] > 0
    assert any("missing is not defined" in word for word in one["odd"])
    assert any("said" in line for line in console)
