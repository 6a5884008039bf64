"""A run from beginning to end, on a toy suite."""

import dataclasses
import json
import math

import pytest

from xpsolve.bench import BenchError, Observer, measure, run, runner
from xpsolve.bench.measure import Measured


class Log(Observer):
    """Records what it is called with."""

    def __init__(self, stop_after=math.inf):
        self.points, self.left, self.ended_slices, self.stop_after = [], [], [], stop_after

    def measured(self, point, left):
        self.points.append(point.text)
        self.left.append(left)
        if len(self.points) >= self.stop_after:
            raise KeyboardInterrupt

    def ended(self, part, seconds, left):
        self.ended_slices.append(part.name)


def saved_file(outcome):
    """asv's result file."""
    (path,) = (outcome.results / outcome.machine).glob("*-existing-py*.json")
    return path


def saved(outcome):
    """What is in it: by benchmark, the row as a dictionary."""
    content = json.loads(saved_file(outcome).read_text())
    return {n: dict(zip(content["result_columns"], row, strict=False)) for n, row in content["results"].items()}


def test_a_run_is_saved_as_asv_reads_it_and_a_second_one_resumes(toy, quick_look):
    log = Log()
    outcome = run(toy, "smoke", machine="box", observer=log)
    assert (outcome.measured, outcome.resumed, outcome.failed) == (3, 0, [])
    assert log.ended_slices == ["toy.Sizes", "counts toy"]
    assert log.left[-1] == pytest.approx(0.0, abs=1e-9)

    results = saved(outcome)
    times = results["toy.Sizes.time_sum"]
    assert times["params"] == [["'numpy'", "'torch'"], ["1", "10", "100"]]
    assert times["result"][0] > 0
    assert len(times["samples"][0]) >= 2
    assert results["toy.Sizes.track_error"]["result"][0] == 0.0
    assert math.isnan(results["toy.Sizes.track_skipped"]["result"][0])

    folder = outcome.results / "box"
    (ledger,) = folder.glob("*.ledger")
    facts = json.loads(ledger.read_text())["facts"]
    assert (facts["machine"], facts["profile"], facts["versioned"]) == ("box", "smoke", False)
    assert json.loads((folder / "machine.json").read_text())["machine"] == "box"
    assert "toy.Sizes.time_sum" in json.loads((outcome.results / "benchmarks.json").read_text())

    from asv.results import iter_results_for_machine

    assert [r.commit_hash for r in iter_results_for_machine(str(outcome.results), "box")] == [facts["commit"]]
    known = {"machine.json", saved_file(outcome).name}
    assert {p.name for p in folder.glob("*.json")} == known  # asv takes every other for results, and warns

    again = run(toy, "smoke", machine="box")
    assert (again.measured, again.resumed) == (0, 3)

    source = toy / "benchmarks" / "toy.py"
    source.write_text(source.read_text() + "# edited\n")
    assert run(toy, "smoke", machine="box", only="time_sum").measured == 1


def test_an_interrupted_run_keeps_what_it_measured_and_goes_on(toy, quick_look):
    first = run(toy, "quick", machine="box", observer=Log(stop_after=2))
    assert first.interrupted
    assert first.measured == 2
    second = run(toy, "quick", machine="box")
    assert not second.interrupted
    assert (second.resumed, second.measured) == (2, 4)
    assert [v is not None for v in saved(second)["toy.Sizes.time_sum"]["result"][:2]] == [True, True]


@pytest.mark.parametrize(
    ("code", "output", "reason"),
    [
        (1, "Traceback\nValueError: no", "failed"),
        (measure.TIMED_OUT, "took longer than 9 s", "timed out"),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8 TiB", "out of memory"),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB", "out of memory"),
        (1, "jaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED: failed to allocate", "out of memory"),
        (-9, "", "out of memory"),
    ],
)
def test_why_there_is_no_value(code, output, reason):
    assert Measured((None, None, None), code, output, measure.datetime.now(measure.UTC), 1.0).reason == reason


def test_the_ledger_says_what_was_missed_and_why(toy, quick_look):
    def missed(outcome):
        (path,) = (outcome.results / "box").glob("*.ledger")
        return {text.partition("(")[0]: m for text, m in json.loads(path.read_text())["missed"].items()}

    left = missed(run(toy, "smoke", machine="box", only="time_sum", budget=1e-3))
    assert left["toy.Sizes.time_sum"] == {"reason": "over budget", "detail": "smoke in 0 s"}
    run(toy, "smoke", machine="box", only="time_sum")
    found = missed(run(toy, "full", machine="box", only="track_error"))
    assert found == {"toy.Sizes.track_error": {"reason": "failed", "detail": "RuntimeError: no answer for a hundred"}}


def test_a_failure_is_reported_and_tried_again(toy, quick_look):
    outcome = run(toy, "full", machine="box", only="track_error")
    ((name, reason),) = outcome.failed
    assert name == "toy.Sizes.track_error('numpy', 100)"
    assert "no answer for a hundred" in reason
    assert saved(outcome)["toy.Sizes.track_error"]["result"][:3] == [0.0, 0.0, None]
    assert run(toy, "full", machine="box", only="track_error").measured == 1


def test_points_of_a_backend_share_a_process_and_one_that_takes_it_down_fails_alone(toy, quick_look, monkeypatch):
    source = toy / "benchmarks" / "toy.py"
    source.write_text(
        source.read_text().replace(
            """        raise SkipNotImplemented("not here")""",
            """        if n == 10:
            raise RuntimeError("ten is too many")
        if n == 100:
            os._exit(3)
        return os.getpid()""",
        )
    )
    started, child = [], measure._Child
    monkeypatch.setattr(measure, "_Child", lambda *a: started.append(a) or child(*a))
    outcome = run(toy, "full", machine="box", only="track_skipped")
    assert [reason for _, reason in outcome.failed] == ["RuntimeError: ten is too many", "no message"]
    assert saved(outcome)["toy.Sizes.track_skipped"]["result"][0] > 0
    assert len(started) == 1
    assert run(toy, "full", machine="box", only="track_skipped|track_error").measured == 5
    assert len(started) == 3  # another after the one that was taken down


def test_a_budget_too_small_measures_nothing_and_says_what_was_left_out(toy, quick_look):
    outcome = run(toy, "smoke", machine="box", budget=1e-3)
    assert outcome.measured == 0
    assert {s.name for s in outcome.left_out} == {"counts toy", "toy.Sizes"}


def test_a_broken_result_file_is_set_aside(toy, quick_look):
    outcome = run(toy, "smoke", machine="box", only="time_sum")
    (path,) = (outcome.results / "box").glob("*-existing-py*.json")
    path.write_text("{")
    with pytest.warns(UserWarning, match="was set aside"):
        again = run(toy, "smoke", machine="box", only="time_sum")
    assert again.measured == 1  # the ledger alone is no measurement
    assert path.with_name(f"{path.name}.broken").read_text() == "{"


@pytest.mark.parametrize("content", ["{", '{"notes": "mine"}'])
def test_a_broken_or_foreign_ledger_is_set_aside_and_the_results_kept(toy, quick_look, content):
    outcome = run(toy, "smoke", machine="box", only="time_sum")
    (path,) = (outcome.results / "box").glob("*.ledger")
    for name in ("broken", "broken-2"):
        path.write_text(content)
        with pytest.warns(UserWarning, match=path.name):
            run(toy, "smoke", machine="box", only="track_error")
        assert path.with_name(f"{path.name}.{name}").read_text() == content
    assert saved(outcome)["toy.Sizes.time_sum"]["result"][0] > 0
    assert len(list((outcome.results / "box").glob("*-existing-py*.json"))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"profile": "slow"}, "profile: expected one of smoke, quick, full, got 'slow'"),
        ({"backends": ["nump"]}, "backend: expected one of numpy, cupy, .* got 'nump'"),
        ({"backends": ["torch"]}, "'torch' cannot be used here: not here"),
        ({"budget": 0}, "budget: expected a positive number"),
        ({"only": "nowhere"}, "nothing to measure"),
        ({"machine": "a b"}, "machine: expected letters"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_measured(toy, quick_look, options, said):
    with pytest.raises(BenchError, match=said):
        run(toy, **options)
    assert not (toy / ".asv").exists()


def ledger(outcome):
    (path,) = (outcome.results / outcome.machine).glob("*.ledger")
    return json.loads(path.read_text())["entries"]


def numbered(monkeypatch, *medians):
    """Measurements that take no time: those of the k-th session of a point have the k-th of these medians, by size."""
    asked, opened = [], []

    class Children:
        def __init__(self, suite):
            opened.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        end_slice = __exit__

        def measure(self, point, *_):
            k = asked.count(point.text)
            asked.append(point.text)
            t = medians[min(k, len(medians) - 1)](point.params["n"])
            return timed(t, t) if point.role == "time" else Measured((0.0, None, None), 0, "", timed().started, 1e-3)

    monkeypatch.setattr(runner, "Children", Children)
    return asked, opened


def test_times_are_measured_in_two_sessions_of_new_processes(toy, quick_look, monkeypatch):
    asked, opened = numbered(monkeypatch, lambda n: n, lambda n: 1.5 * n)
    outcome = run(toy, "full", machine="box", only="time_sum|track_error")
    assert (outcome.measured, len(asked), len(opened)) == (6, 9, 2)  # the second session is slower as a whole
    found = ledger(outcome)["toy.Sizes.time_sum('numpy', 10)"]["sessions"]
    assert [session["samples"] for session in found] == [[10.0, 10.0], [15.0, 15.0]]
    assert saved(outcome)["toy.Sizes.time_sum"]["samples"][:2] == [[1.0, 1.0, 1.5, 1.5], [10.0, 10.0, 15.0, 15.0]]
    assert saved(outcome)["toy.Sizes.time_sum"]["result"][1] == 12.5
    again = run(toy, "full", machine="box", only="time_sum|track_error")
    assert (again.measured, again.resumed) == (0, 6)


def test_sweeps_that_bend_from_session_to_session_are_measured_more_often(toy, quick_look, monkeypatch):
    asked, _ = numbered(monkeypatch, lambda n: n, lambda n: n * (2 if n == 100 else 1))
    outcome = run(toy, "full", machine="box", only="time_sum")
    assert len(asked) == 4 * 3
    assert {len(e["sessions"]) for e in ledger(outcome).values()} == {4}


def test_a_session_that_was_interrupted_goes_on(toy, quick_look, monkeypatch):
    asked, _ = numbered(monkeypatch, lambda n: n)
    assert run(toy, "full", machine="box", only="time_sum", observer=Log(stop_after=4)).interrupted
    run(toy, "full", machine="box", only="time_sum")
    assert len(asked) == 6
    assert {asked.count(text) for text in asked} == {2}


def test_a_failure_in_a_later_session_takes_nothing_away(toy, quick_look, monkeypatch):
    numbered(monkeypatch, lambda n: n)
    first = runner.Children.measure

    def measure(self, point, *rest):
        found = first(self, point, *rest)
        return found if len(self.__class__.seen) < 3 and not self.__class__.seen.add(point.text) else failed

    failed = Measured((None, None, None), 1, "no", timed().started, 1e-3)
    monkeypatch.setattr(runner.Children, "seen", set(), raising=False)
    monkeypatch.setattr(runner.Children, "measure", measure)
    outcome = run(toy, "full", machine="box", only="time_sum")
    assert len(outcome.failed) == 3
    assert saved(outcome)["toy.Sizes.time_sum"]["result"][:3] == [1.0, 10.0, 100.0]


def test_a_budget_is_shared_by_the_sessions(toy, slow):
    run(toy, "full", machine="box", only="time_sum.*numpy", budget=130.0)  # 20 s a point: 60 s are kept
    assert slow == ["numpy"] * 6


def timed(*samples):
    return Measured((True, list(samples), 1), 0, "", measure.datetime.now(measure.UTC), 1.0)


def test_scatter_tells_a_disturbed_measurement():
    assert timed(1.0, 2.0, 3.0).disturbed
    assert not timed(1.0, 1.05, 9.0).disturbed  # one slow sample among quiet ones does no harm
    assert not Measured((0.0, None, None), 0, "", measure.datetime.now(measure.UTC), 1.0).disturbed


def test_a_disturbed_point_is_measured_again_and_the_quieter_run_kept(toy, quick_look, monkeypatch):
    runs = iter([timed(1.0, 2.0, 3.0), timed(1.0, 1.0, 1.1)])
    monkeypatch.setattr(runner.Children, "measure", lambda *_: next(runs))
    outcome = run(toy, "smoke", machine="box", only="time_sum")
    assert (outcome.measured, outcome.repeated) == (1, 1)
    assert saved(outcome)["toy.Sizes.time_sum"]["result"][0] == 1.0


@pytest.fixture
def slow(quick_look, monkeypatch):
    """A clock that only advances by 20 s per point; predicted are 30 s on torch and 2 s on NumPy."""
    now, order = [0.0], []

    def measure(self, point, *_):
        now[0] += 20.0
        order.append(point.backend)
        return dataclasses.replace(timed(1.0, 1.0), seconds=20.0)

    quick_look["backends"]["torch"]["available"] = True
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(runner.Children, "measure", measure)
    monkeypatch.setattr(runner.plan, "predict", lambda suite, point, *_: 30.0 if point.backend == "torch" else 2.0)
    return order


def test_what_takes_longer_than_predicted_costs_other_backends_their_turn_before_numpy(toy, slow):
    outcome = run(toy, "smoke", machine="box", budget=70.0)
    assert slow[0] == "numpy"
    assert {b for s in outcome.left_out for b in s.by_backend()} >= {"torch"}
    assert len(slow) * 20.0 <= 70.0


def test_backends_take_turns_in_the_run_itself(toy, slow):
    run(toy, "quick", machine="box", only="time_sum|track_error", budget=math.inf)
    assert slow == ["numpy", "torch"] * 4


class Numbers(Log):
    """Records how long the run is expected to take, at first and when its pace is known."""

    def __init__(self):
        super().__init__()
        self.first = self.second = None

    def planned(self, slices, outcome):
        self.first = sum(s.predicted for s in slices)

    def corrected(self, slices):
        assert self.second is None
        self.second = sum(s.predicted for s in slices)


def test_the_first_estimate_is_corrected_by_what_was_observed(toy, slow):
    numbers = Numbers()
    run(toy, "smoke", machine="box", observer=numbers, only="numpy", budget=math.inf)
    assert numbers.first < 2 * 3 + 2
    assert numbers.second > 3 * 2.0  # for the point that is left: each so far took ten times its prediction


def test_a_point_that_would_outlive_the_budget_is_given_up_and_no_failure(toy, quick_look):
    source = toy / "benchmarks" / "toy.py"
    source.write_text("import time\n" + source.read_text().replace("sum(range(n))", "time.sleep(60)"))
    outcome = run(toy, "smoke", machine="box", only="time_sum", budget=2.0)
    assert (outcome.measured, outcome.failed) == (0, [])
    assert [p.benchmark for s in outcome.left_out for p in s.points] == ["toy.Sizes.time_sum"]
    assert run(toy, "smoke", machine="box", only="track_error").measured == 1
