"""What a ledger's raw rows add up to, by formulas of its own: nothing of the product's is used to judge it."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable

Raw = Iterable[tuple[int, str, str, str]]


def divergence(event: dict, order: int) -> float:
    """Rényi divergence of a Gaussian, or of a Poisson-sampled one by the binomial sum at an integer order."""
    sigma = event["noise_multiplier"]
    if event["type"] == "gaussian":
        return event["count"] * order / (2 * sigma**2)
    rate = event["sample_rate"]
    terms = (
        math.comb(order, k) * (1 - rate) ** (order - k) * rate**k * math.exp(k * (k - 1) / (2 * sigma**2))
        for k in range(order + 1)
    )
    return event["steps"] * math.log(math.fsum(terms)) / (order - 1)


def budget(epsilon: float, delta: float, order: int) -> float:
    """The divergence at `order` that converts to (ε, δ), by Canonne, Kamath and Steinke."""
    return epsilon - math.log((order - 1) / order) + (math.log(delta) + math.log(order)) / (order - 1)


def steps_of(event: dict) -> int:
    return event["count"] if event["type"] == "gaussian" else event["steps"]


def charges(rows: Raw) -> dict[tuple[str, int], tuple[dict, dict | None]]:
    """Each attempt's release, and the event that it is charged with: all of it until its end, then what ran."""
    found: dict[tuple[str, int], tuple[dict, dict | None]] = {}
    for _, verb, text, _ in rows:
        body = json.loads(text)
        name = (body.get("key"), body.get("attempt"))
        if verb == "reserve":
            found[name] = (body["release"], body["release"]["event"])
        elif verb == "release":
            found[name] = (found[name][0], None)
        elif verb == "settle":
            event = dict(found[name][0]["event"])
            event["count" if event["type"] == "gaussian" else "steps"] = body["steps"]
            found[name] = (found[name][0], event)
    return found


def intended(rows: Raw) -> int:
    return sum(json.loads(text)["steps"] for _, verb, text, _ in rows if verb == "intend")


def balances(rows: Raw) -> dict[tuple[str, str], tuple[float, float]]:
    """Each account's charge and the most that it may be."""
    rows = list(rows)
    limits, sums = {}, defaultdict(float)
    for body in (json.loads(text) for _, verb, text, _ in rows if verb == "open"):
        cap, order = body["cap"], body["order"]
        limits[body["block"], body["split"]] = order, budget(cap["epsilon"], cap["delta"], order)
    for release, event in charges(rows).values():
        for block in {*release["blocks"], "lifetime"}:
            account = block, release["split"]
            if event is not None and account in limits:
                sums[account] += divergence(event, limits[account][0])
    return {account: (sums[account], limit) for account, (_, limit) in limits.items()}


def require_within(rows: Raw) -> None:
    for account, (spent, limit) in balances(rows).items():
        assert spent <= limit * (1 + 1e-12), f"{account} has spent {spent} of {limit}"
