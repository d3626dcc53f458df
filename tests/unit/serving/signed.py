"""Real promotions of the toy service, with keys, evidence and a history, as serving finds them at home."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from registry import people

from components.core import digest
from components.registry.history import History, Promotion
from components.serving import server
from components.serving.app import create
from components.serving.champion import ApprovedChampions

from .toy import TOY, write_bundle

ECHO = replace(TOY, name="echo")


def source(home: Path) -> ApprovedChampions:
    return ApprovedChampions(home, home / "identities.yaml")


def promote(home: Path, version: int) -> Path:
    """Promote a version whose answers are `v<version>`, asked for by ana and approved by ben; return its bundle."""
    if not (home / "identities.yaml").exists():
        people.people(home, "ana", "ben")
    made = write_bundle(home / "store" / f"new-{version}", f"v{version}")
    bundle = made.rename(made.with_name(digest.of_path(made)))
    evidence = people.evidence(home, bundle=bundle.name)
    evidence.keep(home)
    history = History(home)
    standing, sequence = history.champion("echo"), history.sequence("echo") + 1
    previous = standing.version if standing else None
    request = people.request(home, evidence, version=version, sequence=sequence, previous=previous)
    promotion = Promotion(
        service="echo",
        version=version,
        sequence=sequence,
        previous_champion=previous,
        request=request.digest,
        moved_at=people.NOW,
    )
    with history.writing() as append:
        for entry in (request, people.decision(home, request), promotion):
            append(entry)
    return bundle


if __name__ == "__main__":  # the process that test_server.py starts, kills and starts again
    with server.hold_port(0) as held:
        print(held.getsockname()[1], flush=True)
        server.run(create([ECHO], source(Path(sys.argv[1])), poll_seconds=0.05), held)
