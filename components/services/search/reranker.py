"""The personal re-ranker: a linear model of query and history by user-level DP-SGD, from clicks.

Position bias: what stood high is clicked more, whatever it is. The place at which a click was shown is never a feature,
so that it cannot be learnt nor asked for at serving; a click at a low place, which fewer look at, counts more, by its
inverse propensity place^η (Joachims, Swaminathan and Schnabel 2017) up to a bound, beside which it is counted: a row
has one vote at most. η is a public parameter; 0, the default, leaves clicks as they are and corrects nothing. Under DP
a row's gradient is clipped, which takes from the correction where rows are clipped much.

What fits the query is held as the floor has it; the training learns what the history adds, from nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import digest
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy.canaries import Canaries
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.services.search.bundle import Bundle, read_floor, write_bundle
from components.services.search.data import Catalogue, Rows, mistyped
from components.services.search.features import SIZE, Floats, Kinds, features, found_by_query, places, start
from components.services.search.params import RerankerParams, SearchParams
from components.services.search.retrieval import Retrieval
from components.training import descent

if TYPE_CHECKING:
    from components.training.fit import Fitted


class RerankerPlan(descent.DescentPlan):
    """Everything that shapes the re-ranker's training."""

    params: SearchParams


def matrix(rows: Rows, floor: Bundle, params: SearchParams) -> Floats:
    """Return what the model reads, `(users, searches · candidates · (SIZE + 2))`: each row of that user alone."""
    engine, chosen = Retrieval(floor), params.reranker
    kinds, place, found = Kinds(floor), places(rows, floor), found_by_query(rows, engine)
    shape = (len(rows), params.max_searches_per_user, chosen.candidates, SIZE + 2)
    answer = np.zeros(shape, dtype=np.float32)
    bound = chosen.most_weight if chosen.propensity else 1.0
    for row, searches in enumerate(rows.users):
        for number, search in enumerate(searches):
            candidates = found[search.query]
            history = [int(place[item]) for item in search.history if place[item] >= 0]
            seen = features(floor, kinds, candidates, history)[: chosen.candidates]
            answer[row, number, : len(seen), :SIZE] = seen
            answer[row, number, : len(seen), SIZE + 1] = 1
            for item, shown in zip(search.taken, search.shown, strict=True):
                weight = min(max(shown, 1) ** chosen.propensity, bound)
                answer[row, number, : len(seen), SIZE] += weight * (candidates.items[: len(seen)] == place[item])
        answer[row, ..., SIZE] /= bound * max(int(np.count_nonzero(answer[row, ..., SIZE])), 1)
    return answer.reshape(len(rows), int(np.prod(shape[1:])))


def train(
    rows: Rows,
    floor: Bundle,
    params: SearchParams,
    *,
    plan: PrivacyPlan | None,
    intend: Callable[[int], None] | None = None,
    checkpoints: Path | None = None,
    canaries: Canaries | None = None,
    flags: PerformanceFlags | None = None,
    progress: Progress = no_progress,
) -> tuple[Bundle, Fitted]:
    """Return the bundle, and what the training did. Without a plan there is no privacy: a ceiling."""
    import torch

    from components.services.search.model import Reranker as Network
    from components.training.fit import fit

    chosen: RerankerParams = params.reranker
    module = Network(
        torch.from_numpy(chosen.trust * start(floor.config.fusion)),
        searches=params.max_searches_per_user,
        candidates=chosen.candidates,
        learning_rate=chosen.learning_rate if plan else chosen.ceiling_learning_rate,
    )
    schedule: dict[str, Any] = {} if plan else {"steps": chosen.ceiling_steps, "batch_size": chosen.expected_batch_size}
    fitted = fit(
        module,
        matrix(mistyped(rows, params.augmentation.query_typos), floor, params),
        plan=plan,
        intend=intend,
        checkpoints=checkpoints,
        canaries=canaries,
        flags=flags,
        progress=progress,
        **schedule,
    )
    learnt = (module.held, module.score.weight[0])
    weights = np.concatenate([part.detach().cpu().numpy() for part in learnt]).astype(np.float32)
    config = floor.config.model_copy(update={"kind": "reranker", "candidates": chosen.candidates})
    return Bundle(config, {**floor.arrays, "weights": weights}, floor.catalogue), fitted


class Reranker:
    """The candidate, see the module."""

    name = "reranker"
    personal = True
    share = 0.4
    modules = (
        __name__,
        "components.services.bundles",
        "components.services.search.bundle",
        "components.services.search.data",
        "components.language.encoder",
        "components.language.variations",
        "components.services.search.features",
        "components.services.search.model",
        "components.services.search.nearest",
        "components.services.search.params",
        "components.services.search.retrieval",
        "components.services.search.spelling",
        "components.services.search.text",
        *descent.MODULES,
    )

    def plan(
        self, *, mu: float, delta: float, population: int, params: SearchParams, floor: Path | None
    ) -> RerankerPlan:
        """Return the training whose ε at `delta` is that of a Gaussian mechanism at μ."""
        chosen = params.reranker
        return RerankerPlan(
            privacy=descent.calibrated(chosen, mu=mu, delta=delta, population=population),
            params=params,
            floor=digest.of_path(floor) if floor else "",
        )

    def at_noise(self, plan: RerankerPlan, noise_multiplier: float) -> RerankerPlan:
        """Return the same plan with another noise."""
        return plan.at_noise(noise_multiplier)

    def fit(
        self,
        rows: Rows,
        plan: RerankerPlan,
        catalogue: Catalogue,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Event:
        """Train under the plan and write the bundle."""
        bundle, fitted = train(
            rows,
            read_floor(floor),
            plan.params,
            plan=plan.privacy,
            intend=intend,
            checkpoints=telemetry and telemetry / "checkpoints",
            canaries=canaries,
            flags=flags,
            progress=progress,
        )
        write_bundle(out, bundle)
        return plan.ended(fitted, telemetry)
