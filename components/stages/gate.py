"""Gate: one verdict from all the evidence, on the chosen candidate or on the floor that goes instead."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import fields

from components.core import digest
from components.core.evidence import Record
from components.core.files import atomic_path, write_bytes
from components.core.progress import Progress, no_progress
from components.core.records import Audit, Evaluation, PrivacyStatement, Trained, Verdict
from components.evaluation.case import Case
from components.stages.dataset import data_checks, dataset_of
from components.stages.evaluate import ceilings_of, evaluation_of
from components.stages.request import request_of
from components.stages.run import Run
from components.stages.stated import stated as stated_of

_DECISIVE = ("gain_over_floor", "epsilon", "delta")


def gate(run: Run, name: str, progress: Progress = no_progress) -> Verdict:
    """Judge, and leave verdict, privacy statement and a summary for people in `evidence/<service>/gate`.

    A refusal is a verdict like any other here; `require_passed` raises it.
    """
    from components.evaluation.burndown import burn_down_table
    from components.evaluation.gates import best_that_passes
    from components.evaluation.report import summary

    service, _ = run.service(name)
    shutil.rmtree(run.evidence(name, "gate"), ignore_errors=True)  # an earlier verdict must not outlive a refusal
    floor, chosen = service.floor.name, Evaluation.read(run.evidence(name, "evaluate") / "test.json").chosen
    statements = {candidate: stated_of(run, name, candidate) for candidate in (chosen, floor)}
    cases = {candidate: _case(run, name, candidate, stated) for candidate, stated in statements.items()}
    progress(1, 2)
    key = _key(run, cases)
    verdict = run.records().find(Verdict, key)
    if verdict is None:
        verdict = best_that_passes(params=run.params.gates, case=cases[chosen], floor=cases[floor])
        if verdict.passed:  # a refusal may be a busy machine's latency: it is judged again
            run.records().keep(key, verdict)
    stated, evaluation = statements[verdict.candidate], evaluation_of(run, name, verdict.candidate)
    text = summary(
        service=service,
        verdict=verdict,
        evaluation=evaluation,
        statement=stated,
        ceiling=ceilings_of(run, name),
        accounts=burn_down_table(run.ledger().accounts()),
        form=_form(run, name, verdict.candidate),
    )
    with atomic_path(run.evidence(name, "gate")) as part:
        verdict.write(part / "verdict.json")
        stated.write(part / "statement.json")
        write_bytes(part / "summary.md", text.encode())
    progress(2, 2)
    return verdict


def sentence(verdict: Verdict) -> str:
    """Return the verdict in one line: what decided it, with value and limit."""
    decisive = [one for one in verdict.gates if (one.gate in _DECISIVE if verdict.passed else not one.passed)]
    facts = "; ".join(f"{one.gate} {one.value}, limit {one.limit}" for one in decisive)
    outcome = "passed every gate" if verdict.passed else "did not pass"
    refused = verdict.details.get("instead_of", {}).get("candidate")
    instead = f" and goes instead of {refused}" if refused else ""
    return f"{verdict.service}/{verdict.candidate} {outcome}{instead} ({facts})."


def require_passed(verdict: Verdict) -> None:
    """Let a passed verdict through.

    Raises:
        GateNotMet: it names each gate that failed, with value and limit.
    """
    from components.evaluation import gates

    gates.require_passed(verdict)


def verdict_of(run: Run, name: str) -> Verdict:
    """Return the verdict of a service's last gate."""
    return Verdict.read(run.evidence(name, "gate") / "verdict.json")


def statement_of(run: Run, name: str) -> PrivacyStatement:
    """Return the privacy statement that belongs to that verdict."""
    return PrivacyStatement.read(run.evidence(name, "gate") / "statement.json")


def summary_of(run: Run, name: str) -> str:
    """Return that verdict and its figures as Markdown."""
    return (run.evidence(name, "gate") / "summary.md").read_text()


def _key(run: Run, cases: Mapping[str, Case]) -> str:
    """Return the digest of all evidence: latency differs each time it is measured, and is judged once."""
    names = sorted({field.name for field in fields(Case)} - {"latency"})
    evidence = {candidate: [_digest(getattr(case, name)) for name in names] for candidate, case in cases.items()}
    return digest.of_json([evidence, run.params.gates.model_dump(mode="json")])


def _digest(value: object) -> object:
    if isinstance(value, tuple):
        return [_digest(one) for one in value]
    return value.digest if isinstance(value, Record) else value


def _case(run: Run, name: str, candidate: str, statement: PrivacyStatement) -> Case:
    from components.evaluation.footprint import bundle_megabytes, latency_milliseconds
    from components.registry.champions import ApprovedChampions

    service, bundle = run.service(name)[0], run.models(name) / candidate
    champion = ApprovedChampions(run.settings.home, run.settings.identities).current(name)
    return Case(
        service=name,
        candidate=candidate,
        ledger=run.ledger().genesis,
        dataset=dataset_of(run),
        request=request_of(run, name),
        trained=Trained.read(run.evidence(name, "train") / f"{candidate}.json"),
        checks=data_checks(run),
        statement=statement,
        evaluation=evaluation_of(run, name, candidate),
        audit=_audit(run, name, candidate),
        champion=champion.bundle_digest if champion else None,
        megabytes=bundle_megabytes(bundle),
        latency=latency_milliseconds(service, bundle),
    )


def _form(run: Run, name: str, candidate: str) -> str:
    from components.evaluation.smaller import Shrunk

    path = run.evidence(name, "train") / f"{candidate}-smaller.json"
    return Shrunk.read(path).sentence() if path.exists() else ""


def _audit(run: Run, name: str, candidate: str) -> Audit:
    return Audit.read(run.evidence(name, "audit") / f"{candidate}.json")
