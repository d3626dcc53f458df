"""How many trainings of `recommend` one block carries under the shipped cap, by the ε of a training.

Pure accounting: no data, no ledger. The peer is what adding up the trainings' own ε would allow.

    python bench/budget.py [--users 25000]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from components.privacy import accounting
from components.privacy.accounts import open_account
from components.privacy.release import Event
from components.stages.planned import Users, delta_for, planned
from components.stages.run import Run

EPSILONS = (0.5, 1.0, 2.0, 3.0)


def main() -> None:
    run, users = Run.open(Path(__file__).parents[1]), _arguments().users
    cap = run.params.privacy.cap
    account, carried = open_account("2026Q1", "train", cap), {}
    for epsilon in EPSILONS:
        delta = delta_for(run, users)
        events = _training(run, epsilon, users)
        carried[epsilon] = int(account.rdp_cap / sum(accounting.rdp(event, account.order) for event in events))
        stated = accounting.epsilon_of(events, delta)
        print(f"trainings at ε = {epsilon:g} (δ = {delta:.0e}, stated {stated:.3f}): {carried[epsilon]} a block")
    ours, peer = carried[3.0], int(cap.epsilon / 3.0)
    print(f"the cap is ε = {cap.epsilon:g} at δ = {cap.delta:g}; {users:,} train users in the block")
    result = {"name": "budget", "ours": ours, "peer": peer, "ratio": round(ours / peer, 2)}
    print(json.dumps({**result, "unit": "trainings at ε = 3 a block", "cores": os.cpu_count(), "carried": carried}))


def _training(run: Run, epsilon: float, users: int) -> list[Event]:
    """Return what a training releases of its train users."""
    asked = Run(root=run.root, params=run.params.but(training={"epsilon": epsilon}), settings=run.settings)
    releases = planned(asked, "recommend", Users.guessed(asked, users))
    return [release.event for release in releases if release.split == "train"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=25_000, help="train users of the block")
    return parser.parse_args()


if __name__ == "__main__":
    main()
