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
from components.evaluation.smaller import Shrunk, made, shrink
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
    with tempfile.TemporaryDirectory(prefix="jali-smaller-") as scratch:
        chosen = _chosen(run, service, candidate.name, settled, Path(scratch))
        form = settled if chosen.way is None else Path(scratch) / chosen.way
        with atomic_path(out) as part:
            shutil.copytree(form, part)
    return chosen.bundle


def shrunk(run: Run, bundle: str) -> Shrunk | None:
    """Return what a bundle was made from, and what was tried; None for one that nobody tried to make smaller."""
    return run.records().find(Shrunk, _going_on(bundle))


def _chosen(run: Run, service: Service, candidate: str, settled: Path, scratch: Path) -> Shrunk:
    """Return which form goes on, and leave it in `scratch`, in a folder of its way's name."""
    assert service.smaller is not None, "the caller asks"
    measuring = digest.reached([shrink.__module__, service.score.__module__], ["components.evaluation"])
    ways = digest.reached([way.__module__ for way in service.smaller.ways.values()], ["components.services"])
    limits = run.params.smaller.model_dump(mode="json", exclude={"services"})
    key = digest.of_json([digest.of_path(settled), limits, digest.of_modules(measuring | ways)])
    if known := run.records().find(Shrunk, key):
        if known.way is None:
            return known
        again = made(service.smaller, known.way, settled, scratch / known.way)
        if digest.of_path(again) == known.bundle:
            return known
        shutil.rmtree(again)  # another version of a library writes other bytes: it is measured again
    found = shrink(service, candidate, settled, run.params.smaller, scratch)
    run.records().keep(_going_on(found.bundle), found)
    return run.records().keep(key, found)


def _going_on(bundle: str) -> str:
    return digest.of_json(["goes on", bundle])
