"""Atomic writes: a reader sees the old file or the new one, never a half."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.errors import Unavailable


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on failure it is removed.

    Works for a file, by one rename, and for a folder, by two: between these a reader finds no folder, and never a half.

    Raises:
        Unavailable: the disk is full; `target` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    part = scratch / target.name
    try:
        yield part
        _flush(part)
        _replace(part, target, scratch)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(target.parent).free
            raise Unavailable(
                f"The disk is full while writing {target}",
                value=f"{free:,} bytes free",
                next_step="Free some space and run the same command again; nothing was changed.",
            ) from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(target: Path, content: bytes) -> Path:
    """Write `content` to `target` atomically and return `target`."""
    with atomic_path(target) as part:
        part.write_bytes(content)
    return target


def _flush(path: Path) -> None:
    # Without this a crash of the machine may leave the new name with none of its content.
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _replace(part: Path, target: Path, scratch: Path) -> None:
    if not target.is_dir():
        part.replace(target)
        return
    old = scratch / "old"
    target.rename(old)  # a folder cannot be renamed over a full one
    try:
        part.replace(target)
    except OSError:
        old.rename(target)
        raise
