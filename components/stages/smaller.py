"""A released bundle on its way into the workspace: as it is, or smaller where that was asked for and loses next to
nothing. What is evaluated, judged, approved and served is what goes on from here.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from components.core import digest
from components.core.files import atomic_path
from components.core.service import Candidate, Service
from components.evaluation.smaller import Shrunk, shrink
from components.stages.run import Run


def carry(run: Run, service: Service, candidate: Candidate, settled: Path) -> str:
    """Put the settled bundle of a candidate, or its smaller form, into the workspace, and return its digest.

    A form is chosen once for a bundle, a set of limits and the code that measures: what was measured then is found.
    """
    out = run.models(service.name) / candidate.name
    asked = candidate.personal and service.smaller is not None and service.name in run.params.smaller.services
    if not asked:
        with atomic_path(out) as part:
            shutil.copytree(settled, part)
        return digest.of_path(settled)
    chosen = _chosen(run, service, candidate.name, settled)
    with atomic_path(out) as part:
        shutil.copytree(settled if chosen.way is None else _kept(run, chosen), part)
    return chosen.bundle


def shrunk(run: Run, bundle: str) -> Shrunk | None:
    """Return what a bundle was made from, and what was tried; None for one that nobody tried to make smaller."""
    return run.records().find(Shrunk, _going_on(bundle))


def _chosen(run: Run, service: Service, candidate: str, settled: Path) -> Shrunk:
    """Return which form goes on, and keep it: made again on another machine it might have other bytes, which would be
    evaluated, and charged, anew.
    """
    assert service.smaller is not None, "the caller asks"
    measuring = digest.reached([shrink.__module__, service.score.__module__], ["components.evaluation"])
    ways = digest.reached([way.__module__ for way in service.smaller.ways.values()], ["components.services"])
    limits = run.params.smaller.model_dump(mode="json", exclude={"services"})
    key = digest.of_json([digest.of_path(settled), limits, digest.of_modules(measuring | ways)])
    known = run.records().find(Shrunk, key)
    if known and (known.way is None or _is(_kept(run, known), known.bundle)):
        return known
    with tempfile.TemporaryDirectory(prefix="jali-smaller-") as scratch:
        found = shrink(service, candidate, settled, run.params.smaller, Path(scratch))
        if found.way is not None:
            shutil.rmtree(_kept(run, found), ignore_errors=True)
            with atomic_path(_kept(run, found)) as part:
                shutil.copytree(Path(scratch) / found.way, part)
    run.records().keep(_going_on(found.bundle), found)
    return run.records().keep(key, found)


def _kept(run: Run, form: Shrunk) -> Path:
    return run.settings.home / "smaller" / form.bundle


def _is(folder: Path, bundle: str) -> bool:
    return folder.is_dir() and digest.of_path(folder) == bundle


def _going_on(bundle: str) -> str:
    return digest.of_json(["goes on", bundle])
