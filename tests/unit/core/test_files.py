from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from components.core.errors import Unavailable
from components.core.files import atomic_path, write_bytes


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def half_written(target: Path, error: Exception) -> None:
    """Begin to write `target`, and fail."""
    with atomic_path(target) as part:
        part.write_bytes(b"as far as it we")
        raise error


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = write_bytes(tmp_path / "metrics.json", b"old")
    with atomic_path(target) as part:
        part.write_bytes(b"half of the n")
        assert target.read_bytes() == b"old"
        part.write_bytes(b"half of the new, and its other half")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"half of the new, and its other half"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_is_open_for_reading_stays_whole_while_it_is_replaced(tmp_path: Path) -> None:
    target = write_bytes(tmp_path / "weights", b"a" * 100_000)
    with target.open("rb") as reader:
        first = reader.read(10)
        write_bytes(target, b"b" * 100_000)
        assert first + reader.read() == b"a" * 100_000
    assert target.read_bytes() == b"b" * 100_000


def test_a_new_file_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    assert write_bytes(tmp_path / "a" / "b" / "c.json", b"{}").read_bytes() == b"{}"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_leaves_the_old_file(tmp_path: Path, code: int) -> None:
    target = write_bytes(tmp_path / "events.parquet", b"old")
    with pytest.raises(Unavailable, match=r"disk is full.*events\.parquet.*bytes free.*Free some space"):
        half_written(target, OSError(code, os.strerror(code)))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_is_full_only_at_the_flush_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write_bytes(tmp_path / "events.parquet", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="disk is full"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_another_error_passes_as_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        half_written(tmp_path / "table", KeyError("user"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    for names in (("config.json", "old.safetensors"), ("config.json", "new.safetensors")):
        with atomic_path(target) as part:
            (part / "inner").mkdir(parents=True)
            for name in names:
                (part / "inner" / name).write_text(name)
    assert sorted(path.name for path in (target / "inner").iterdir()) == ["config.json", "new.safetensors"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_could_not_be_replaced_is_still_there(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with atomic_path(target) as part:
        part.mkdir()
        (part / "config.json").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(target):
        pass  # nothing was written that could take its place
    assert (target / "config.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
