"""Where a run happened."""

import json
import platform
import subprocess

import pytest

import xpsolve
from xpsolve.arrays import backends
from xpsolve.bench import BenchError, machine

FOUND = {
    "backends": {"numpy": {"available": True, "reason": "", "version": "2", "device": "cpu", "startup": 0.1}},
    "blas": [{"library": "openblas", "version": "0.3", "threads": 2}],
}
KEYS = {
    "machine",
    "cpu",
    "cores",
    "memory_bytes",
    "os",
    "python",
    "blas",
    "backends",
    "commit",
    "dirty",
    "profile",
    "date",
}


def git(root, *arguments):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "xpsolve").mkdir(parents=True)
    (root / "xpsolve" / "a.py").write_text("a = 1\n")
    return root


def test_sources_without_git_are_known_by_their_digest(tree):
    first = machine.sources(tree)
    assert not first.versioned
    assert first.commit == first.tree
    (tree / "xpsolve" / "a.py").write_text("a = 2\n")
    assert machine.sources(tree).commit != first.commit


def test_sources_with_git_tell_a_dirty_tree(tree):
    git(tree, "init", "-q")
    assert not machine.sources(tree).versioned  # there is no commit yet
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    clean = machine.sources(tree)
    assert clean.versioned
    assert not clean.dirty
    (tree / "xpsolve" / "a.py").write_text("a = 2\n")
    changed = machine.sources(tree)
    assert changed.dirty
    assert changed.commit == clean.commit
    assert changed.tree != clean.tree


def test_sources_inside_another_repository_are_not_at_its_commit(tree):
    git(tree.parent, "init", "-q")
    git(tree.parent, "commit", "-q", "--allow-empty", "-m", "one")
    assert not machine.sources(tree).versioned


def test_register_writes_what_asv_reads(tmp_path):
    from asv.machine import MachineCollection

    path = tmp_path / "machine.json"
    described = machine.register("box-1", FOUND, path)
    assert MachineCollection.load("box-1", _path=str(path)) == described
    assert machine.register("box-1", FOUND, path) == described
    assert [p.name for p in tmp_path.iterdir()] == ["machine.json"]


def test_register_keeps_the_name_and_the_keys_of_the_one_machine_there_is(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"mine": {"machine": "mine", "gpu": "H100"}, "version": 1}))
    described = machine.register(None, FOUND, path)
    assert described["machine"] == "mine"
    assert described["gpu"] == "H100"


def test_asv_by_itself_finds_the_host_before_and_after(tmp_path):
    from asv.machine import Machine

    path, host = tmp_path / "machine.json", platform.node()
    described = machine.register("mybox", FOUND, path)
    bare = {"interactive": False, "_path": str(path)}
    assert Machine.load(**bare).machine == "mybox"  # its results are beside ours
    machine.register("other", FOUND, path)
    assert Machine.load(**bare).machine == "mybox"
    assert machine.register("mybox", FOUND, path) == described
    # What `asv machine --yes` wrote is left alone.
    path.write_text(json.dumps({host: {**described, "machine": host}, "version": 1}))
    machine.register("mybox", FOUND, path)
    assert Machine.load(**bare).machine == host


def test_the_name_of_a_host_that_is_gone_makes_no_second_machine(tmp_path):
    path = tmp_path / "machine.json"
    old = {"mybox": {"machine": "mybox"}, "a1b2c3": {"machine": "mybox"}, "version": 1}
    path.write_text(json.dumps(old))
    assert machine.register(None, FOUND, path)["machine"] == "mybox"


def test_default_name_says_what_the_machine_is_and_does_not_change(tmp_path):
    first = machine.register(None, FOUND, tmp_path / "one.json")["machine"]
    assert first == machine.register(None, FOUND, tmp_path / "two.json")["machine"]
    assert first.endswith("-cores")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(BenchError, match="machine: expected letters"):
        machine.register(name, FOUND, tmp_path / "machine.json")


def test_a_broken_machine_file_is_named_and_left_alone(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text("{")
    with pytest.raises(BenchError, match=r"machine\.json is not readable"):
        machine.register("box", FOUND, path)
    assert path.read_text() == "{"


def test_facts_have_the_keys_that_reports_read(tree, tmp_path):
    described = machine.register("box", FOUND, tmp_path / "machine.json")
    facts = machine.facts(described, FOUND, machine.sources(tree), "quick")
    assert facts.keys() >= KEYS
    assert facts["backends"]["numpy"] == {"available": True, "reason": "", "version": "2", "device": "cpu"}
    assert facts["libraries"] == {}
    assert json.loads(json.dumps(facts)) == facts


def test_versions_name_what_is_missing():
    found = machine.versions(["xpsolve", "numpy", "no-such-library"])
    assert found["no-such-library"] is None
    assert found["numpy"][0].isdigit()
    assert found["xpsolve"] == xpsolve.__version__


def test_look_asks_a_child_process_about_every_backend():
    found = machine.look(machine.Path.cwd(), ["numpy", "array-api-strict"])
    assert found["backends"]["numpy"]["available"]
    assert set(found["backends"]) < set(backends.NAMES)
    assert all(pool["threads"] >= 1 for pool in found["blas"])


def test_caches_are_those_of_data(tmp_path):
    for i, (level, kind, size) in enumerate(
        (("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "32M"))
    ):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    (tmp_path / "index9").mkdir()
    assert machine.caches(tmp_path) == {"L1d": "48 KiB", "L3": "32 MiB"}
