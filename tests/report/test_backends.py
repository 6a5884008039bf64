"""One solver on every backend: speed, error, launches, and the panel of an accelerator from planted results."""

import pytest

from xpsolve import report
from xpsolve.report import asv, backends, table

GPU = {"available": True, "reason": "", "version": "14", "device": "NVIDIA"}
CPU = {"available": True, "reason": "", "version": "2", "device": "cpu"}
SIZES = [100, 1000, 10_000, 100_000]


def nobody(*_):
    return ""


def solves(suite, names, time, machine="box", title="Ridge", error=None, **more):
    grid = {"backend": names, "method": ["normal"], "n": SIZES}
    meta = suite.meta(title, "time", "seconds", "n", "ridge", fixed={"p": 20}, **more)
    suite.add(f"r.{title}.time_solve", grid, time, meta, machine=machine)
    if error is not None:
        track = suite.meta(title, "error", "relative error", "n")
        suite.add(f"r.{title}.track_error", grid, error, track, machine=machine)
    return suite


def tidied(suite, facts):
    return table.tidy(asv.read(suite.write(facts)))


def test_times_and_errors_stand_side_by_side_at_both_ends(suite):
    speed = {"numpy": 1.0, "torch": 0.5, "jax": 2.0}
    wrong = {"numpy": 1e-15, "torch": 1e-14, "jax": 1e-3}
    solves(suite, list(speed), lambda backend, n, **_: speed[backend] * n, error=lambda backend, **_: wrong[backend])
    found = backends.matches(tidied(suite, {"backends": dict.fromkeys(speed, CPU)}))
    assert found.drop_duplicates("problem")["winner"].tolist() == ["torch"] * 4
    assert set(found.loc[found["able"], "backend"]) == {"numpy", "torch"}
    times = backends.speed_table(found, nobody)
    assert times.columns == ["benchmark", "at", "numpy", "torch", "jax"]
    assert [row[1].text.replace("\u202f", " ") for row in times.rows] == ["normal, n = 100", "normal, n = 100 000"]
    assert times.rows[0][3].mark == "fastest"
    assert times.rows[0][4].text.startswith("○")
    errors = backends.errors_table(found, nobody)
    assert [cell.text for cell in errors.rows[0][2:]] == ["1.0e-15", "1.0e-14", "1.0e-03"]
    assert errors.rows[0][4].mark == "invalid"
    dots = backends.dots(found)
    assert set(zip(dots["name"], dots["value"], dots["hollow"], strict=True)) == {
        ("torch", 0.5, False),
        ("jax", 2.0, True),
    }
    assert backends.wins(found) == {"torch": 4, "jax": 0, "numpy": 0, "": 0}


def test_backends_that_are_level_have_no_winner(suite):
    solves(suite, ["numpy", "torch"], lambda **_: 1.0)
    found = backends.matches(tidied(suite, {}))
    assert set(found["winner"]) == {""}
    assert backends.wins(found)[""] == 4


def test_without_numpy_the_first_backend_is_the_measure(suite):
    solves(suite, ["torch", "jax"], lambda backend, **_: 1.0 if backend == "torch" else 3.0)
    dots = backends.dots(backends.matches(tidied(suite, {"backends": dict.fromkeys(("torch", "jax"), CPU)})))
    assert set(zip(dots["name"], dots["value"], strict=True)) == {("jax", 3.0)}


def test_throughput_stands_beside_the_latency_of_the_same_call(suite):
    solves(suite, ["numpy"], lambda n, **_: 1e-4 + 1e-9 * n, title="One")
    grid = {"backend": ["numpy"], "method": ["normal"], "n": SIZES[:2]}
    for title, pair in (("Many", "r.One"), ("Alone", None)):
        meta = suite.meta(title, "time", "seconds", "n", "ridge", fixed={"p": 20}) | {
            "mode": "throughput",
            "pair": pair,
        }
        suite.add(f"r.{title}.time_solve", grid, lambda n, **_: 2e-5 + 1e-9 * n, meta)
    rows = backends.throughput_table(tidied(suite, {}), nobody).rows
    assert [row[0].text for row in rows] == ["Many", "Many"]
    assert [row[4].key for row in rows] == pytest.approx([(1e-4 + 1e-9 * n) / (2e-5 + 1e-9 * n) for n in SIZES[:2]])


def test_results_from_a_machine_with_an_accelerator_fill_the_panel(suite, tmp_path):
    solves(suite, ["numpy", "torch"], lambda backend, n, **_: (1 if backend == "numpy" else 2) * 1e-6 * n)
    solves(suite, ["numpy", "cupy"], lambda backend, n, **_: 1e-3 + 1e-8 * n if backend == "cupy" else n, "gpu-box")
    (folder := suite.folder).mkdir(parents=True)
    suite.write({"backends": {"numpy": CPU, "torch": CPU, "cupy": GPU}})
    frame = table.tidy(asv.read(folder))
    race = backends.races(frame)
    assert race["x"].tolist() == SIZES
    assert set(zip(race["who"], race["who_accelerator"], strict=True)) == {("numpy, box", "cupy, gpu-box")}
    assert race["at"].between(900, 1200).all()
    (row,) = backends.races_table(race).rows
    assert "cupy, gpu-box overtakes numpy, box at n ≈ 10" in row[1].text
    assert row[3].text.endswith("× faster")
    page = (report.build(folder, tmp_path / "out").parent / "backends.html").read_text()
    assert 'src="figures/devices.svg"' in page
    assert "No accelerator was measured" not in page
    assert "cupy, gpu-box" in page


def test_an_accelerator_that_is_slower_is_said_to_be(suite):
    solves(suite, ["numpy", "cupy"], lambda backend, n, **_: n * (5.0 if backend == "cupy" else 1.0))
    races = backends.races(tidied(suite, {"backends": {"numpy": CPU, "cupy": GPU}}))
    (row,) = backends.races_table(races).rows
    assert row[1].text.startswith("numpy, box is faster throughout")
    assert row[3].text == "5 × slower"


def test_processors_alone_are_no_race(suite):
    solves(suite, ["numpy", "torch"], lambda n, **_: 1.0 * n)
    assert backends.races(tidied(suite, {"backends": {"numpy": CPU, "torch": CPU}})).empty
