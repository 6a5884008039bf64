"""Numbers on the pages, computed again from ``scaling.csv`` and ``results.csv`` alone, without the package's code."""

import html
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from xpsolve import report

PREFIX = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def number(text):
    """The first number of a text in SI units: ``1.23 ms`` is 0.00123, ``25 371`` is 25371."""
    found = re.search(r"[−-]?\d[\d\u202f,]*\.?\d*(?:e[+-]?\d+)?", text)
    value = float(found[0].replace("\u202f", "").replace("−", "-"))
    unit = re.match(r"\s*([nµmkMG]?)(?:s|B|flop)\b", text[found.end() :].replace("\u202f", " "))
    return value * PREFIX[unit[1]] if unit else value


def rows(text, heading):
    """The rows of the table below a heading: for each column its text."""
    table = text.partition(heading)[2].partition("</table>")[0]
    cells = re.findall(r'<td[^>]*data-label="([^"]*)"[^>]*>(.*?)</td>|(</tr>)', table, re.DOTALL)
    found, row = [], {}
    for label, content, end in cells:
        if end:
            found, row = [*found, row], {}
        else:
            row[html.unescape(label)] = html.unescape(re.sub("<[^>]*>", "", content)).replace("\xa0", " ")
    return [row for row in found if row]


def near(value):
    return pytest.approx(value, rel=6e-3)  # three figures are shown


@pytest.fixture
def built(ridge_suite, tmp_path):
    times = {"xpsolve": 1e-3, "other": 2e-3}
    grid = {"library": list(times), "case": ["wide", "tall"]}
    for name, role, value in (
        ("time_solve", "time", lambda library, case: times[library] * (3 if case == "tall" else 1)),
        ("track_error", "error", lambda **_: 1e-12),
    ):
        quantity = "seconds" if role == "time" else "relative error"
        ridge_suite.add(f"peers.Ridge.{name}", grid, value, ridge_suite.meta("Ridge beside others", role, quantity))
    out = report.build(ridge_suite.write(), tmp_path / "report").parent
    pages = {path.stem: path.read_text() for path in out.glob("*.html")}
    return pages, pd.read_csv(out / "scaling.csv"), pd.read_csv(out / "results.csv")


def test_ten_numbers_follow_from_the_files(built):
    pages, fits, data = built
    own = data[data["library"].isna() & data["status"].eq("ok") & data["current"]]
    times = own[own["role"] == "time"]
    lead = html.unescape(re.sub("<[^>]*>", "", " ".join(re.findall(r'<p class="lead">.*?</p>', pages["index"], re.S))))

    # 1, 2: how many exponents were judged, and how many of them agree
    judged = fits["kind"].isin(("agrees", "differs", "floor-bound"))
    agree = (fits["kind"] == "agrees").sum()
    assert f"Of {judged.sum()} exponents that could be judged, {agree} agree" in lead

    # 3: how often a backend is the fastest, by more than 5 %
    sound = times[times["valid"] & times["steady"]]
    rest = times["params"].map(lambda p: json.dumps({k: v for k, v in json.loads(p).items() if k != "backend"}))
    winners, compared = [], 0
    for (benchmark, problem), group in times.groupby(["benchmark", rest]):
        if len(group) > 1:
            compared += 1
            able = sound[(sound["benchmark"] == benchmark) & (rest[sound.index] == problem)].sort_values("value")
            if len(able) > 1 and able["value"].iloc[1] >= 1.05 * able["value"].iloc[0]:
                winners.append(able["backend"].iloc[0])
    assert f"Of {compared} problems that several backends solved" in lead
    assert f"numpy in {winners.count('numpy')}" in lead

    # 4: how many predictions are good
    usable = sound[sound["predicted"] > 0]
    factor = np.exp(np.abs(np.log(usable["value"] / usable["predicted"])))
    assert f"{100 * np.mean(factor <= 1.5):.0f} % of {len(usable)} times are predicted within a factor 1.5" in lead

    # 5, 6: an exponent, its interval and the theory
    one = fits[judged & fits["benchmark"].str.contains("InFeatures")].iloc[0]
    who = json.loads(one["params"])["backend"]
    shown = next(
        row
        for row in rows(pages["exponents"], '<h2 id="all">')
        if row["benchmark"] == one["title"] and row["series"] == who
    )
    digits = [float(x.replace("−", "-")) for x in re.findall(r"[−\d.]+", shown["time grows as"].partition("^")[2])]
    assert digits == pytest.approx([one["alpha"], one["low"], one["high"]], abs=0.0051)
    assert float(shown["theory"]) == pytest.approx(one["theory"], abs=0.0051)

    # 7: a time, side by side with those of other backends
    shown = next(row for row in rows(pages["backends"], '<h2 id="speed">') if row["benchmark"] == "Small ridge")
    here = times[(times["title"] == "Small ridge") & (times["n"] == number(shown["at"].partition("=")[2]))]
    for name in ("numpy", "torch", "jax"):
        assert number(shown[name]) == near(here.loc[here["backend"] == name, "value"].iloc[0])

    # 8: how far a series is from the machine's limits
    shown = next(row for row in rows(pages["machine"], '<h2 id="limits">') if row["series"] == "normal, numpy")
    last = times[(times["title"] == shown["benchmark"]) & times["params"].str.contains('"numpy"')]
    last = last[last["n"].eq(number(shown["at"].partition("=")[2])) & last["method"].eq("normal")].iloc[0]
    assert number(shown["time / limit"]) == near(last["value"] / last["floor"])
    assert number(shown["share of limit"]) == pytest.approx(100 * last["floor"] / last["value"], abs=0.51)

    # 9: a count of operations
    shown = next(row for row in rows(pages["ridge"], "Counted operations") if row["quantity"] == "flops")
    counted = own[(own["role"] == "count") & (own["quantity"] == "flops")]
    assert number(shown["value"]) in set(counted["value"])

    # 10: how much faster one library is than another, and in how many cases
    contest = data[data["library"].notna() & (data["role"] == "time")].set_index(["case", "library"])["value"]
    for row in rows(pages["peers"], "<h2>Ridge beside others</h2>"):
        if row["library"] == "other":
            assert number(row["xpsolve is"]) == near(contest[row["case"], "other"] / contest[row["case"], "xpsolve"])
    assert "Of 2 cases against other libraries, 2 could be decided" in pages["peers"]
    assert not math.isnan(contest.sum())
