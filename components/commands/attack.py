"""`jali attack`: who was in the training data, by the served answers alone; with privacy, and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from components.core import digest, settings
from components.core.errors import Refused
from components.core.progress import bar

if TYPE_CHECKING:
    from components.stages.attack import Subject
    from components.stages.run import Run


@click.command()
@click.argument("service", default="recommend")
@click.option("--version", help="A version's number, champion or challenger; by default the source's last training.")
@click.option("--source", help="A source of params.yaml; by default the one that it chooses, or the version's.")
@click.option("--targets", type=click.IntRange(20), help="Users asked about; half of them are members.  [2000]")
@click.option("--shadows", type=click.IntRange(4), help="Models trained for the attack, of each kind.  [10]")
@click.option("--json", "as_json", is_flag=True, help="The record as one line of canonical JSON.")
def attack(
    service: str, version: str | None, source: str | None, targets: int | None, shadows: int | None, as_json: bool
) -> None:
    """Attack a version of SERVICE by its served answers, beside the same mechanism without its noise.

    Public sources only. The attack ends in a verdict (exit code 20) where it shows more than the claim allows, and
    where it finds nobody without privacy either, so that it proves nothing.
    """
    from components.evaluation.attack import section, verdict
    from components.stages import attack as stage
    from components.stages.dataset import dataset_of
    from components.stages.workspace import alone

    run, subject, number = _version(service, version) if version else _workspace(service, source)
    stage.require_public(dataset_of(run))
    with alone(run), bar(f"attack {service}") as progress:
        found = stage.attack(
            run,
            service,
            subject,
            targets=targets or stage.TARGETS,
            shadows=shadows or stage.SHADOWS,
            progress=progress,
        )
    folder = stage.folder_of(run, service)
    if number is not None:
        from components.registry.attachments import attach

        report = section(found)
        title = report.splitlines()[0]
        attach(run.settings, service, number, title=title, report=report, files=sorted(folder.glob("attack.*")))
    click.echo(digest.canonical_json(found.body()).decode() if as_json else section(found) + f"\n{folder}/attack.png")
    if found.refuted or not found.powerful:
        raise Refused(verdict(found).rstrip("."), next_step="See the plot." if found.refuted else _MORE)


_MORE = "Ask about more users (--targets) with more models (--shadows), or attack a personal version."


def _workspace(service: str, source: str | None) -> tuple[Run, Subject, int | None]:
    """Return what the source's last training left, and its version where it has one."""
    from components.stages import attack as stage
    from components.stages.dataset import dataset_of
    from components.stages.registration import find_version
    from components.stages.workspace import open_training

    run = open_training(source)
    stage.require_public(dataset_of(run))
    return run, stage.subject_of(run, service), find_version(run, service)


def _version(service: str, version: str) -> tuple[Run, Subject, int | None]:
    """Return a registered version in the workspace of its source, which must still hold its dataset."""
    from components.registry import models
    from components.stages import attack as stage
    from components.stages.dataset import dataset_of
    from components.stages.workspace import open_training

    here = settings.load()
    number = int(version) if version.isdecimal() else models.alias(here, service, version)
    if number is None:
        raise Refused(f"No version of {service} is called {version}", next_step="Run `jali promote status`.")
    evidence = models.evidence_of(here, service, number)
    stage.require_public(evidence.dataset)
    run = open_training(evidence.dataset.source)
    if (found := dataset_of(run)).digest != evidence.dataset.digest:
        raise Refused(
            f"The workspace of {evidence.dataset.source} holds another dataset than version {number} learnt from",
            value=found.digest_keyed[:12],
            limit=evidence.dataset.digest_keyed[:12],
            next_step=f"Run `jali run dataset --source {evidence.dataset.source}` over the version's window.",
        )
    return run, stage.subject_of_version(run, evidence), number
