"""Several writers of one results folder: a second run is refused in words, asv's own results are kept."""

import json
import os
import threading

import pytest

from xpsolve.bench import BenchError, Observer, run
from xpsolve.files import lock, write_folder, write_text


class Held(Observer):
    """A run that waits after its first point until it is let go."""

    def __init__(self):
        self.there, self.go_on = threading.Event(), threading.Event()

    def measured(self, point, left):
        self.there.set()
        assert self.go_on.wait(60)


def test_a_second_run_says_who_holds_the_folder_and_loses_nothing(toy, quick_look):
    held, outcomes = Held(), []
    first = threading.Thread(target=lambda: outcomes.append(run(toy, "smoke", machine="box", observer=held)))
    first.start()
    assert held.there.wait(60)
    with pytest.raises(BenchError, match=rf"another `xpsolve bench` \(process {os.getpid()} on .*box: wait"):
        run(toy, "smoke", machine="box")
    elsewhere = run(toy, "smoke", machine="other", only="track_error")  # its own folder, its own lock
    held.go_on.set()
    first.join()
    (outcome,) = outcomes
    assert (outcome.measured, elsewhere.measured) == (3, 1)
    again = run(toy, "smoke", machine="box")
    assert (again.measured, again.resumed) == (0, 3)


def test_what_asv_itself_writes_meanwhile_is_kept(toy, quick_look):
    first = run(toy, "smoke", machine="box", only="track_error")
    (path,) = (first.results / "box").glob("*-existing-py*.json")

    class Beside(Observer):
        def measured(self, point, left):
            content = json.loads(path.read_text())
            content["results"]["toy.Sizes.track_error"][0][0] = 7.0
            path.write_text(json.dumps(content, indent=1))

    assert run(toy, "smoke", machine="box", only="time_sum", observer=Beside()).measured == 1
    kept = json.loads(path.read_text())["results"]
    assert kept["toy.Sizes.track_error"][0][0] == 7.0
    assert kept["toy.Sizes.time_sum"][0][0] > 0


def test_a_lock_is_free_again_after_its_holder(tmp_path):
    for holder in ("one", "two"):
        with lock(tmp_path / ".lock", holder), pytest.raises(BlockingIOError, match=holder):  # noqa: SIM117
            with lock(tmp_path / ".lock", "three"):
                pass


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_folder(tmp_path / "a", {"b/one": "1", "two": b"2"})
    (tmp_path / "a" / "mine").write_text("kept")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "a/b/one",
        "a/mine",
        "a/two",
    ]
    with pytest.raises(OSError, match="file"):
        write_text(tmp_path / "a" / "mine" / "file", "below a file")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left on device: '.*two'"):
        write_text(tmp_path / "a" / "two", "new")
    assert (tmp_path / "a" / "two").read_text() == "2"
    assert not list(tmp_path.rglob("*.part"))
