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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml
from filelock import FileLock, Timeout

from components.core import errors
from components.core.errors import ContractBroken, JaliError, Misconfigured, Unavailable
from components.core.files import atomic_path, write_bytes
from components.core.params import Params
from components.core.progress import Progress, no_progress

_COPIED = ("components", "expectations", "dvc.yaml")
_REMOTE = "local"


def open_workspace(root: Path, folder: Path, params: Params) -> Path:
    """Return `folder` as a DVC workspace that holds `root`'s code as it is now and `params` as its `params.yaml`.

    The data of an earlier run stays, so that DVC repeats only what changed.
    """
    for name in _COPIED:
        with atomic_path(folder / name) as part:
            if (root / name).is_dir():
                shutil.copytree(root / name, part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(root / name, part)
    params.write(folder / "params.yaml")
    _init(folder, root)
    return folder


def reproduce(workspace: Path, target: str, *, stages: int, progress: Progress = no_progress) -> dict[str, str]:
    """Bring the stage `target` and all before it up to date, and push what they made to the default remote.

    What the stages print goes to `.dvc/tmp/repro.log` in the workspace.

    Args:
        workspace: a folder with `dvc.yaml`.
        target: a stage.
        stages: how many stages that is, for the progress.
        progress: called with the stages done.

    Returns:
        DVC's hash of every output of every stage, by its path.

    Raises:
        JaliError: a stage ended with it; it is raised again here as it was there.
        Unavailable: another run works in this workspace for more than ten minutes, or DVC failed.
    """
    scratch = workspace / ".dvc" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    failure, log = scratch / "failure.json", scratch / "repro.log"
    with _serialised(workspace):
        failure.unlink(missing_ok=True)
        log.write_text("")
        with log.open("a") as told:  # DVC and its stages append to it as well
            running = _start(workspace, "repro", target, environment={"JALI_FAILURE": str(failure)}, stderr=told)
            seen = 0
            for line in running.stdout or ():
                told.write(line)
                told.flush()
                if line.startswith(("Running stage", "Stage '")):
                    progress(seen, stages)
                    seen += 1
        if running.wait() != 0:
            raise _failed(failure, log)
        if _start(workspace, "push", "--quiet", "--remote", _REMOTE).wait() != 0:
            raise Unavailable(
                "The dataset is made, but the DVC remote does not take it",
                next_step=f"Run `dvc push` in {workspace} and mend what it says, then run this again.",
            )
        progress(stages, stages)
        return hashes(workspace)


def hashes(workspace: Path) -> dict[str, str]:
    """Return DVC's hash of every output in the workspace's `dvc.lock`, by its path."""
    lock = yaml.safe_load((workspace / "dvc.lock").read_text())
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}


def bring_back(root: Path, outputs: Mapping[str, str], destination: Path) -> Path:
    """Restore `outputs`, a DVC hash by path, below `destination`, bit for bit.

    Raises:
        Misconfigured: `destination` is not empty.
        ContractBroken: the cache and the remote hold no such data; it was never pushed, or was erased.
    """
    if destination.exists() and any(destination.iterdir()):
        raise Misconfigured(f"{destination} is not empty", next_step="Name a new folder with --to.")
    destination.mkdir(parents=True, exist_ok=True)
    _init(destination, root)
    for path, md5 in outputs.items():
        pointer = {"outs": [{"md5": md5, "path": Path(path).name, "hash": "md5"}]}
        write_bytes(destination / f"{path}.dvc", yaml.safe_dump(pointer).encode())
    if _start(destination, "pull", "--quiet", "--remote", _REMOTE).wait() != 0:
        raise ContractBroken(
            "The data of this version is in neither the DVC cache nor the remote",
            value=", ".join(sorted(outputs.values())),
            next_step="Set the remote that holds it (`dvc remote list`), or accept that it was erased.",
        )
    return destination


def tell_failure(error: JaliError) -> None:
    """Leave `error` where the `reproduce` that runs this stage finds it, so that a verdict crosses the process."""
    path = os.environ.get("JALI_FAILURE")
    if path:
        facts = [error.what, _text(error.value), _text(error.limit), error.next_step]
        write_bytes(Path(path), json.dumps({"type": type(error).__name__, "facts": facts}).encode())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _failed(failure: Path, log: Path) -> JaliError:
    if failure.exists():
        told = json.loads(failure.read_text())
        what, value, limit, next_step = told["facts"]
        kind: type[JaliError] = getattr(errors, told["type"])
        return kind(what, value=value, limit=limit, next_step=next_step)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return Unavailable(
        "`dvc repro` failed",
        value=lines[-1][:200] if lines else "no output",
        next_step=f"Read {log}; nothing was lost, and running it again goes on from there.",
    )


def _init(folder: Path, root: Path) -> None:
    """Make `folder` a DVC workspace of its own that shares the checkout's configuration, cache and remote."""
    settings = folder / ".dvc"
    if (settings / "config.local").exists():
        return
    shared = root / ".dvc" / "config"
    # A relative URL in the checkout's file is relative to its .dvc folder, and would be to ours.
    text = shared.read_text().replace("url = ../", f"url = {root}/") if shared.exists() else ""
    write_bytes(settings / "config", text.encode())
    write_bytes(folder / ".dvcignore", b"")
    own = f"[core]\n    no_scm = true\n[cache]\n    dir = {root / '.dvc' / 'cache'}\n"
    write_bytes(settings / "config.local", own.encode())


@contextmanager
def _serialised(workspace: Path) -> Iterator[None]:
    # DVC's own locks make a second repro fail; this one makes it wait.
    lock = FileLock(workspace / ".dvc" / "jali.lock")
    try:
        with lock.acquire(timeout=600):
            yield
    except Timeout as error:
        raise Unavailable(
            f"Another run works in {workspace}", value="10 minutes", next_step="Wait for it, or end it, and run again."
        ) from error


def _start(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stderr: IO[str] | int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    # The stages call `python`: theirs must be ours, whatever the shell's PATH says.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {}), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
