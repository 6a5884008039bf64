"""Files that a reader never meets half of, folders that one process writes at a time, and errors that name the file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PART = ".part"


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all: a temporary sibling, then one rename."""
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            # mkstemp makes the file private; a report is meant to be read by others.
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write many files into a folder, the last one last; where one cannot be written, none of them is.

    Parameters
    ----------
    folder : pathlib.Path
        Made if missing; other files in it are left alone.
    files : mapping of str to str or bytes
        By relative path.
    """
    with _named(folder):
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f".*{_PART}"):  # of a process that was killed as it wrote
            shutil.rmtree(stale, ignore_errors=True)
        beside = Path(tempfile.mkdtemp(dir=folder, suffix=_PART, prefix="."))
        try:
            for name, content in files.items():
                path = beside / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(beside / name, folder / name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            if fresh:
                with contextlib.suppress(OSError):  # it is not empty where all went well
                    folder.rmdir()


def check_writable(folder: Path) -> None:
    """Raise OSError where nothing can be written to a folder, which is made if missing."""
    with _named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def lock(path: Path, holder: str) -> Iterator[None]:
    """Hold a file that only one process holds at a time; the system takes it back however that process ends.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    holder : str
        Who holds it, in words, for others to read.

    Raises
    ------
    BlockingIOError
        If another process holds it; the message is what that one wrote of itself.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(os.pread(descriptor, 1000, 0).decode(errors="replace").strip()) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, holder.encode())
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an OSError say which file it is about: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
