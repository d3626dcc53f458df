"""DVC, in one room: a workspace for a run, one serialised `dvc repro`, the hashes of what came out, and the way back.

The checkout itself is a workspace for whoever types `dvc repro`. A flow works in one of its own, under
`var/workspaces/<source>`: a copy of the code, the suites and the pipeline with the run's parameters, sharing the
checkout's cache and remote. So a scheduled flow changes no tracked file, and what ran is what the copy holds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import IO

import yaml

from components.core import errors
from components.core.errors import ContractBroken, JaliError, Misconfigured, Unavailable
from components.core.files import atomic_path, write_bytes
from components.core.params import Params
from components.core.progress import Progress, no_progress
from components.data.turns import turn

REPRO = "repro"
"""The turn of whoever may change what lies in a workspace."""

_COPIED = ("components", "expectations", "dvc.yaml")


def open_workspace(root: Path, folder: Path, params: Params) -> Path:
    """Return `folder` as a DVC workspace that holds `root`'s code as it is now and `params` as its `params.yaml`.

    The data of an earlier run stays, so that DVC repeats only what changed.

    Raises:
        Unavailable: another run works in it for more than ten minutes.
    """
    with turn(folder, REPRO):  # what runs there now ends with the code and the parameters that it began with
        _configure(folder, root)
        for name in _COPIED:
            with atomic_path(folder / name) as part:
                if (root / name).is_dir():
                    shutil.copytree(root / name, part, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy2(root / name, part)
        params.write(folder / "params.yaml")
    return folder


def reproduce(
    workspace: Path, target: str, *, stages: int, again: str | None = None, progress: Progress = no_progress
) -> dict[str, str]:
    """Bring the stage `target` and all before it up to date, and push what they made to the default remote.

    What the stages print goes to `.dvc/tmp/repro.log` in the workspace. What a killed run left behind is mended.

    Args:
        workspace: a folder with `dvc.yaml`.
        target: a stage.
        stages: how many stages that is, for the progress.
        again: a stage to run first, changed or not: one that reads from outside, where DVC sees no change.
        progress: called with the stages done.

    Returns:
        DVC's hash of every output of every stage, by its path.

    Raises:
        JaliError: a stage ended with it; it is raised again here as it was there.
        Unavailable: another run works in this workspace for more than ten minutes, or DVC failed.
    """
    with turn(workspace, REPRO) as held:
        log = _mend(workspace)
        seen = 0
        for asked in ([["--single-item", "--force", again]] if again else []) + [[target]]:
            with log.open("a") as told:  # DVC and its stages append to it as well
                running = _start(workspace, "repro", *asked, stderr=told, hold=[held])
                for line in running.stdout or ():
                    told.write(line)
                    told.flush()
                    if line.startswith(("Running stage", "Stage '")):
                        progress(min(seen, stages), stages)
                        seen += 1
            if running.wait() != 0:
                raise _failed(workspace, log)
        pushed, said = _finished(workspace, "push")
        if not pushed:
            raise Unavailable(
                "The dataset is made, but the DVC remote does not take it",
                value=_error_in(said),
                next_step=f"Run `dvc push` in {workspace} and mend what it says, then run this again.",
            )
        progress(stages, stages)
        return hashes(workspace)


def hashes(workspace: Path) -> dict[str, str]:
    """Return DVC's hash of every output in the workspace's `dvc.lock`, by its path.

    Raises:
        ContractBroken: there is none, or it cannot be read.
    """
    lock = workspace / "dvc.lock"
    if not _readable(lock):
        raise ContractBroken(
            f"{lock} does not say which data this is", next_step="Run the data stages again; DVC then writes it anew."
        )
    stages = yaml.safe_load(lock.read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}


def bring_back(root: Path, outputs: Mapping[str, str], destination: Path) -> Path:
    """Restore `outputs`, a DVC hash by path, below `destination`, bit for bit. It appears whole or not at all.

    Raises:
        Misconfigured: `destination` is not empty.
        ContractBroken: the cache and the remote hold no such data; it was never pushed, or was erased.
        Unavailable: DVC failed in another way; the remote may not answer.
    """
    if destination.exists() and any(destination.iterdir()):
        raise Misconfigured(f"{destination} is not empty", next_step="Name a new folder with --to.")
    with atomic_path(destination) as part:
        _configure(part, root)
        for path, md5 in outputs.items():
            pointer = {"outs": [{"md5": md5, "path": Path(path).name, "hash": "md5"}]}
            write_bytes(part / f"{path}.dvc", yaml.safe_dump(pointer).encode())
        pulled, said = _finished(part, "pull")
        if not pulled:
            raise _lost(outputs, said) if "Missing cache files" in said else _unreachable(said)
        shutil.rmtree(part / ".dvc")
        for own in [*part.rglob("*.dvc"), part / ".dvcignore"]:
            own.unlink()
    return destination


@contextmanager
def stage_in(workspace: Path) -> Iterator[None]:
    """Run a stage's body alone in `workspace`, and leave its error where the `reproduce` that runs it finds it.

    A stage whose DVC was killed may still be writing; the next one waits for its end. Outside DVC it does neither.
    """
    if not (workspace / ".dvc").is_dir():
        yield
        return
    try:
        with turn(workspace, "stage"):
            yield
    except JaliError as error:
        facts = [error.what, _text(error.value), _text(error.limit), error.next_step]
        write_bytes(_failure(workspace), json.dumps({"type": type(error).__name__, "facts": facts}).encode())
        raise


def _failure(workspace: Path) -> Path:
    return workspace / ".dvc" / "tmp" / "failure.json"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _failed(workspace: Path, log: Path) -> JaliError:
    if _failure(workspace).exists():
        told = json.loads(_failure(workspace).read_text())
        what, value, limit, next_step = told["facts"]
        kind: type[JaliError] = getattr(errors, told["type"])
        return kind(what, value=value, limit=limit, next_step=next_step)
    return Unavailable(
        "`dvc repro` failed",
        value=_error_in(log.read_text(errors="replace")),
        next_step=f"Read {log}; nothing was lost, and running it again goes on from there.",
    )


def _error_in(said: str) -> str:
    """Return the line of DVC's output that names the error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return [*(lines or ["no output"]), *named][-1][:200]


def _mend(workspace: Path) -> Path:
    """Clear what a killed run may have left, and return the new run's log. It is our turn: nobody else is at work."""
    scratch = workspace / ".dvc" / "tmp"
    _failure(workspace).unlink(missing_ok=True)
    (scratch / "rwlock").unlink(missing_ok=True)  # it names process ids, which may be another process' by now
    lock = workspace / "dvc.lock"
    if lock.exists() and not _readable(lock):
        lock.replace(scratch / "dvc.lock.broken")  # DVC finds what was made in its run cache, and writes it anew
    log = scratch / "repro.log"
    log.write_text("")
    return log


def _readable(lock: Path) -> bool:
    try:
        return isinstance(yaml.safe_load(lock.read_text())["stages"], dict)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return False


def _configure(folder: Path, root: Path) -> None:
    """Make `folder` a DVC workspace of its own with the checkout's configuration, cache and remotes."""
    config = ConfigParser(interpolation=None)
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    config.read_dict({"core": {"no_scm": "true"}, "cache": {"dir": config.get("cache", "dir", fallback="cache")}})
    for section in config.sections():
        for key in ("url", "dir"):
            place = config.get(section, key, fallback=None)
            if place and "://" not in place:  # what is relative is so to the checkout's .dvc folder, not to ours
                config.set(section, key, str((root / ".dvc" / place).resolve()))
    text = StringIO()
    config.write(text)
    write_bytes(folder / ".dvc" / "config", text.getvalue().encode()).chmod(0o600)  # it may hold a remote's password
    write_bytes(folder / ".dvcignore", b"")


def _start(
    folder: Path, *arguments: str, stderr: IO[str] | int = subprocess.PIPE, hold: Sequence[int] = ()
) -> subprocess.Popen[str]:
    # The stages call `python`: theirs must be ours, whatever the shell's PATH says.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        pass_fds=hold,
    )


def _finished(folder: Path, *arguments: str) -> tuple[bool, str]:
    """Run DVC to its end; return whether it did what it was asked, and what it said on standard error."""
    process = _start(folder, *arguments)
    said = process.communicate()[1]
    return process.returncode == 0, said


def _lost(outputs: Mapping[str, str], said: str) -> ContractBroken:
    missing = sorted(path for path, md5 in outputs.items() if md5 in said) or sorted(outputs)
    return ContractBroken(
        "The data of this version is in neither the DVC cache nor the remote",
        value=f"without {', '.join(missing)}",
        limit="every file, bit for bit",
        next_step="Set the remote that holds it (`dvc remote list`), or accept that it was erased.",
    )


def _unreachable(said: str) -> Unavailable:
    return Unavailable(
        "DVC could not bring the data back",
        value=_error_in(said),
        next_step="Mend what it says (`dvc remote list`), and run the same command again.",
    )
