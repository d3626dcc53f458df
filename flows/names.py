"""What a flow run is called in the Prefect UI: what it works on, instead of two random words."""

from __future__ import annotations

from prefect.runtime import flow_run


def run_name() -> str:
    """Return the parameters that the present run was given, as its name."""
    given = flow_run.parameters
    epsilon, version = given.get("epsilon"), given.get("version")
    parts = [
        given.get("service"),
        given.get("source"),
        f"last {given['last']}" if given.get("last") else None,
        _window(given.get("start"), given.get("end")),
        f"ε={epsilon:g}" if epsilon is not None else None,
        f"version {version}" if version is not None else None,
        (given.get("request") or "")[:12],
    ]
    return " · ".join(part for part in parts if part) or "as params.yaml says"


def _window(start: object, end: object) -> str:
    return f"{start or 'first event'} to {end or 'last event'}" if start or end else ""
