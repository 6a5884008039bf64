import math

import numpy as np
import pandas as pd
import pytest

from xpsolve import costs
from xpsolve.report.asv import read
from xpsolve.report.findings import crossings, scaling_table, series
from xpsolve.report.table import results, tidy


def table(suite):
    found = read(suite.write())
    return tidy(found), found


def test_errors_of_the_same_class_decide_what_is_valid(suite):
    grid = {"backend": ["numpy"], "n": [1, 2, 3, 4, 5]}
    errors = {1: 1e-12, 2: 1e-3, 3: math.inf, 4: None, 5: math.nan}
    suite.add("r.A.time_solve", grid, lambda n, **_: 1.0, suite.meta("A", "time", "seconds", "n"))
    suite.add("r.A.track_error", grid, lambda n, **_: errors[n], suite.meta("A", "error", "relative error", "n"))
    suite.add("r.B.time_solve", grid, lambda n, **_: 1.0, suite.meta("B", "time", "seconds", "n"))
    frame, _ = table(suite)
    times = frame[frame["role"] == "time"].set_index(["group", "n"])
    assert times.loc["r.A", "valid"].tolist() == [True, False, False, False, True]
    assert times.loc["r.A", "checked"].tolist() == [True, True, True, True, False]
    assert times.loc["r.B", "valid"].all()
    assert not times.loc["r.B", "checked"].any()


def test_theory_comes_from_the_cost_function(suite):
    suite.add(
        "r.A.time_solve",
        {"backend": ["numpy"], "dtype": ["float64", "float32"], "n": [500]},
        lambda **_: 1.0,
        suite.meta("A", "time", "seconds", "n", "ridge", fixed={"p": 20, "method": "woodbury"}),
    )
    suite.add(
        "r.B.time_solve",
        {"method": ["normal"], "n": [250]},
        lambda **_: 1.0,
        suite.meta("B", "time", "seconds", "n", "ridge", derived={"p": 10_000}),
    )
    frame, found = table(suite)
    double, single, along = frame.itertuples()
    assert double.flops == single.flops == costs.ridge(500, 20, method="woodbury").flops
    assert double.bytes == 2 * single.bytes
    assert along.flops == costs.ridge(250, 40, method="normal").flops
    assert not found.warnings


def test_theory_that_is_refused_is_a_warning(suite):
    suite.add(
        "r.A.time_solve",
        {"method": ["peer"], "n": [5]},
        lambda **_: 1.0,
        suite.meta("A", "time", "seconds", "n", "ridge"),
    )
    suite.add("r.B.time_solve", {"n": [5]}, lambda **_: 1.0, suite.meta("B", "time", "seconds", "n", "no_such_cost"))
    frame, found = table(suite)
    assert frame["flops"].isna().all()
    assert any("r.A.time_solve" in line for line in found.warnings)
    assert any("no_such_cost" in line for line in found.warnings)


def test_the_floor_is_the_largest_of_three(ridge_suite):
    frame, _ = table(ridge_suite)
    row = frame[(frame["benchmark"] == "ridge.InFeatures.time_solve") & (frame["p"] == 1600)].iloc[0]
    cost = costs.ridge(16000, 1600)
    assert row["floor"] == pytest.approx(
        cost.floor(costs.Ceilings(ridge_suite.RATE, ridge_suite.STREAM, ridge_suite.LAUNCH))
    )
    assert row["bound"] == "arithmetic"
    assert row["share"] == pytest.approx(row["floor"] / row["value"])
    assert frame.loc[frame["role"] == "count", "floor"].isna().all()


def test_without_ceilings_there_is_no_floor(suite):
    suite.add("r.time_one", {"n": [5]}, lambda n: 1.0, suite.meta("A", "time", "seconds", "n", "ridge", fixed={"p": 2}))
    frame, _ = table(suite)
    assert frame["flops"].notna().all()
    assert frame["share"].isna().all()


def test_peak_memory_is_what_the_baseline_leaves(ridge_suite):
    frame, _ = table(ridge_suite)
    assert frame.loc[frame["role"] == "memory", "value"].tolist() == [2e6, 8e6]


def test_only_the_commit_measured_last_is_current(suite):
    older = "0" * 40
    suite.add("a.time_one", {"n": [1]}, lambda n: 1.0, commit=older, started=1)
    suite.add("a.time_one", {"n": [1]}, lambda n: 2.0, started=2)
    frame, _ = table(suite)
    assert frame.set_index("commit")["current"].to_dict() == {older: False, frame["commit"].iloc[-1]: True}


def test_a_parameter_may_share_its_name_with_a_column(suite):
    suite.add("a.time_one", {"value": [1, 2]}, lambda value: 3.0, suite.meta("A", "time", "seconds", "value"))
    frame, _ = table(suite)
    assert frame["value"].tolist() == [3.0, 3.0]
    assert frame["x"].tolist() == [1.0, 2.0]


def test_findings_of_a_machine_that_follows_the_costs(ridge_suite):
    frame, _ = table(ridge_suite)
    lines = series(frame)
    fits = scaling_table(lines)
    assert len(fits) == len(lines) == 18
    tall = fits[fits["benchmark"].str.contains("InFeatures") & fits["params"].str.contains("numpy")].iloc[0]
    assert tall["kind"] == "agrees"
    assert tall["alpha"] == pytest.approx(2.0, abs=0.1)
    assert (fits.loc[fits["benchmark"].str.contains("Latency"), "kind"] == "floor-bound").all()
    # Along n·p = const the time is held against the flops themselves.
    assert set(fits.loc[fits["benchmark"].str.contains("Aspect"), "of"]) == {"work"}
    svd = fits[fits["params"].str.contains("svd")]
    assert (svd["invalid"] == 1).all()

    pairs = [pair for pair in crossings(lines) if "Aspect" in pair.first.key[2] and pair.rival == "method"]
    assert len(pairs) == 3
    for pair in pairs:
        assert pair.crossing.clear
        assert pair.crossing.at == pytest.approx(1000, rel=0.1)
        assert "normal overtakes woodbury" in pair.sentence


def test_competitors_differ_in_one_thing_only(ridge_suite):
    frame, _ = table(ridge_suite)
    for pair in crossings(series(frame)):
        differing = {k for k in pair.first.params if pair.first.params[k] != pair.second.params[k]}
        assert differing == {pair.rival}
        assert np.isfinite(pair.crossing.ratio)


def test_unsteady_times_are_not_fitted(suite):
    given = suite.meta("A", "time", "seconds", "n")
    suite.add("r.time_one", {"n": [1, 10, 100, 1000, 10_000]}, lambda n: n * (1.0 if n < 1000 else 8.0), given)
    lower, upper = suite.results["box", suite.COMMIT]["r.time_one"][5:7]
    lower[3], lower[4] = -1.0, 0.4 * 80_000
    upper[0] = 50.0  # slow samples leave the median where it was
    frame, _ = table(suite)
    assert frame["steady"].tolist() == [True, True, True, False, False]
    assert series(frame)[0].law.alpha == pytest.approx(1.0)


def test_sizes_are_columns_whether_they_vary_or_not(suite):
    given = suite.meta("A", "time", "seconds", "n", fixed={"p": 40, "depth": 3, "method": "cg"})
    suite.add("r.A.time_one", {"backend": ["torch"], "n": [10]}, lambda **_: 1.0, given)
    along = suite.meta("B", "time", "seconds", "n", derived={"p": 1000})
    suite.add("r.B.time_one", {"method": ["svd"], "dtype": ["float32"], "n": [10]}, lambda **_: 1.0, along)
    first, second = table(suite)[0].itertuples()
    assert (first.n, first.p, first.depth, first.method, first.dtype) == (10, 40, 3, "cg", "float64")
    assert (second.n, second.p, second.method, second.dtype) == (10, 100, "svd", "float32")
    assert (first.backend, second.backend, second.device, second.versions) == ("torch", "numpy", "cpu", "numpy 2.3.0")


def test_files_hold_what_was_measured_and_in_few_rows_what_was_not(suite):
    grid = {"backend": ["numpy", "cupy"], "n": [1, 2, 3, 4]}
    values = {1: 1.0, 2: 2.0, 3: None, 4: math.nan}
    suite.add("r.A.time_one", grid, lambda backend, n: math.nan if backend == "cupy" else values[n])
    suite.add("r.B.time_one", {"n": ["a few"]}, lambda n: 1.0)  # a word where others have numbers
    kept = results(table(suite)[0])
    assert kept["status"].tolist() == ["ok", "ok", "ok", "failed", "skipped"]
    assert kept["points"].tolist() == [1, 1, 1, 1, 4]
    assert kept["reason"].tolist()[3:] == ["failed", "missing backend"]
    assert kept["backend"].tolist() == ["numpy"] * 4 + ["cupy"]
    for name in (
        "suite machine commit versions benchmark family method backend device dtype n p depth mode value lower upper "
        "samples error valid status reason flops bytes launches syncs"
    ).split():
        assert name in kept, name


def test_parquet_and_csv_say_the_same(ridge_suite, tmp_path):
    pytest.importorskip("pyarrow")
    kept = results(table(ridge_suite)[0])
    kept.to_parquet(tmp_path / "t.parquet", index=False)
    kept.to_csv(tmp_path / "t.csv", index=False)
    one, other = pd.read_parquet(tmp_path / "t.parquet"), pd.read_csv(tmp_path / "t.csv")
    assert one.columns.tolist() == other.columns.tolist()
    there = one["value"].to_numpy(float, na_value=math.nan)
    assert there.tolist() == pytest.approx(other["value"].tolist(), nan_ok=True)
    assert one["params"].dropna().tolist() == other["params"].dropna().tolist()


def test_the_latency_of_the_same_call_stands_beside_a_throughput(suite):
    grid = {"backend": ["numpy", "torch"], "n": [10, 20]}
    alone = suite.meta("Alone", "time", "seconds", "n")
    row = suite.meta("In a row", "time", "seconds", "n", mode="throughput", pair="r.Alone")
    suite.add("r.Alone.time_one", grid, lambda backend, n: math.nan if backend == "torch" else 4.0 * n, alone)
    suite.add("r.Other.time_one", grid, lambda **_: 7.0, alone)
    suite.add("r.Row.time_one", grid, lambda backend, n: 1.0 * n, row)
    frame, _ = table(suite)
    beside = frame[frame["mode"] == "throughput"]
    assert (beside["value"] / beside["latency"]).tolist()[:2] == [0.25, 0.25]
    assert beside["latency"].isna().tolist() == [False, False, True, True]
    assert frame.loc[frame["mode"] == "latency", "latency"].isna().all()


def test_fits_are_recomputed_from_the_files_of_a_report(ridge_suite, tmp_path):
    """Ten series from results.csv alone, and from scaling.csv what a page says of the first."""
    frame, _ = table(ridge_suite)
    results(frame).to_csv(tmp_path / "results.csv", index=False)
    kept = pd.read_csv(tmp_path / "results.csv", low_memory=False)
    words = [name for name in ("x_name", "series", "sessions", "bound", "mode") if name in kept]
    kept[words] = kept[words].astype(object).fillna("")
    whole, again = (scaling_table(series(rows)) for rows in (frame, kept[kept["status"] == "ok"]))
    wanted, again = whole.head(10), again.head(10)
    exact = ["benchmark", "params", "kind", "cause", "interval", "points", "invalid", "local_slopes"]
    assert again[exact].equals(wanted[exact])
    for name in ("alpha", "low", "high", "theory", "a", "b", "constant", "constant_share"):
        assert again[name].to_numpy(float) == pytest.approx(wanted[name].to_numpy(float), nan_ok=True)
    whole.to_csv(tmp_path / "scaling.csv", index=False)
    row = pd.read_csv(tmp_path / "scaling.csv").query("kind == 'floor-bound'").iloc[0]
    (line,) = (line for line in series(frame) if (line.key[2], line.key[3]) == (row["benchmark"], row["params"]))
    middle = line.points["value"].median()
    assert row["constant"] / middle == pytest.approx(row["constant_share"], rel=0.1)
    assert line.verdict.cause.numbers["constant"] == pytest.approx(row["constant_share"])
