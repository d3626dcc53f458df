"""What every service must hold of a private step, of noise that drowns it, and of its endpoint."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
import torch

from components.core import digest
from components.core.service import Candidate
from components.privacy import engine
from components.privacy.engine import DPSGD
from components.serving.app import create
from tests.unit.serving.toy import Client, HandTurned, champion, for_service

from .makings import DELTA, MU, POPULATION, Makings

SECRET = "zq-pregnancy-zq"
LONGEST_QUERY = 60_000
"""Characters that the client here sends in an address."""
HOSTILE = [
    pytest.param("", id="empty"),
    pytest.param(SECRET * 100_000, id="huge"),
    pytest.param(f"\x00\x1b{SECRET}\ud800".encode(errors="surrogatepass").decode(errors="replace"), id="binary"),
    pytest.param(f"\u202e{SECRET} مرحبا בעולם", id="right to left"),
    pytest.param([SECRET] * 100_000, id="a history of 100,000"),
    pytest.param(float("nan"), id="NaN"),
    pytest.param({SECRET: [SECRET]}, id="another type"),
    pytest.param(None, id="null"),
]


class Shown(Makings):
    """The part of `ServiceConformance` that trains with given noise, looks into a step, and asks the endpoint."""

    def test_a_private_step_sums_what_a_loop_over_its_users_sums(self, candidate: Candidate, tmp_path: Path) -> None:
        if candidate.name not in self.iterative:
            pytest.skip("it takes no steps; its one sum is held to its sensitivity")
        away: list[float] = []
        step = DPSGD.step

        def compared(self: DPSGD, batch: Any) -> float:
            if len(batch) and not away:  # one is enough, and a loop is slow
                away.append(_away_from_loop(self, batch))
            return step(self, batch)

        with (
            patch.object(DPSGD, "step", compared),
            # what the model draws is fixed: else the loop would draw anew
            patch.object(torch, "binomial", lambda counts, chance: counts * chance),
        ):
            self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        assert away, "no batch held a user"
        assert max(away) < 1e-5

    def test_noise_of_a_thousand_leaves_nothing_of_what_it_learns(self, candidate: Candidate, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, self.table(self.alike()))
        catalogue = self.service.catalogue(self.items_path(tmp_path), self.params())

        def fitted(one: Candidate, noise_multiplier: float, floor: Path | None, out: Path) -> Path:
            plan = one.plan(mu=MU, delta=DELTA, population=POPULATION, params=self.params(), floor=floor)
            plan = one.at_noise(plan, noise_multiplier)
            one.fit(rows, plan, catalogue, floor=floor, intend=lambda steps: None, out=out)
            return out

        def scored(noise_multiplier: float, run: str) -> np.ndarray:
            floor = None
            if candidate.personal:
                floor = fitted(self.service.floor, noise_multiplier, None, tmp_path / f"floor {run}")
            bundle = fitted(candidate, noise_multiplier, floor, tmp_path / run)
            return np.asarray(self.service.score(bundle, rows, 11)).mean(axis=0)

        ranges = np.array([metric.high - metric.low for metric in self.service.metrics])
        clear = [scored(1e-6, f"clear {run}") / ranges for run in range(2)]
        drowned = [scored(1000.0, f"drowned {run}") / ranges for run in range(4)]
        assert np.abs(clear[0] - clear[1]).max() < 0.05, "there is something to learn"
        assert np.abs(np.mean(drowned, axis=0) - clear[0]).max() > 0.05

    def alike(self) -> list[list[int]]:
        """Return baskets of users who all take the same, so that there is something to learn."""
        return [[0, 1, 2, 3]] * 40

    # --- what an endpoint must be

    @pytest.fixture(scope="class")
    def endpoint(self, tmp_path_factory: pytest.TempPathFactory) -> Client:
        """The service's endpoint, where its floor is the champion."""
        folder = tmp_path_factory.mktemp("endpoint")
        bundle, _, _ = self.trained(self.service.floor, self.rows(folder, self.table(self.baskets())), folder)
        one = replace(champion(folder, 3), bundle=bundle, bundle_digest=digest.of_path(bundle))
        app = create((self.service,), HandTurned(**{self.service.name: for_service(self.service.name, one)}))
        app.state.rollout.refresh()
        return Client(app)

    def test_its_endpoint_answers_its_example_as_its_schema_says(self, endpoint: Client) -> None:
        found = self._ask(endpoint, self.service.example)
        assert found.status_code == 200
        assert found.json()["model_version"] == 3
        told = {name: value for name, value in found.json().items() if name in self.service.answer.model_fields}
        self.service.answer.model_validate(told)
        paths = endpoint.get("/openapi.json").json()["paths"]
        declared = paths[self.service.path][self.service.method.lower()]
        assert set(declared["responses"]) >= {"200", "422"}
        assert "schema" in next(iter(declared["responses"]["200"]["content"].values()))

    @pytest.mark.parametrize("value", HOSTILE)
    def test_whatever_a_field_holds_it_is_an_answer_or_one_sentence_and_in_no_log(
        self, endpoint: Client, value: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for field in self.service.request.model_fields:
            found = self._ask(endpoint, {**self.service.example, field: value})
            if found.status_code != 200:
                assert 400 <= found.status_code < 500
                detail = found.json()["detail"]
                assert detail.endswith(".")
                assert len(detail) < 400
                assert SECRET not in found.text
        ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]  # the caller
        assert SECRET not in "\n".join(ours)

    def test_a_request_without_anything_or_with_too_much_is_one_sentence(self, endpoint: Client) -> None:
        required = any(field.is_required() for field in self.service.request.model_fields.values())
        for request in [{}] * required + [{**self.service.example, SECRET: SECRET}]:
            found = self._ask(endpoint, request)
            assert found.status_code == 422
            assert found.json()["detail"].endswith(".")
            assert SECRET not in found.text

    def _ask(self, endpoint: Client, request: dict[str, Any]) -> httpx.Response:
        if self.service.method == "GET":
            given = {name: value if isinstance(value, list) else str(value) for name, value in request.items()}
            query = urlencode(given, doseq=True, errors="replace")[:LONGEST_QUERY]
            return endpoint.get(f"{self.service.path}?{query}")
        body = json.dumps(request).encode(errors="replace")
        return endpoint.post(self.service.path, content=body, headers={"content-type": "application/json"})


def _away_from_loop(sgd: DPSGD, batch: Any) -> float:
    """Return how far the step's clipped sum lies from each user's own clipped gradient, added up; relative to it."""
    module = sgd._clipping.to_standard_module()
    parameters, bound, total = sgd._optimizer.params, sgd._plan.max_grad_norm, 0.0
    for user in range(len(batch)):
        gradients = torch.autograd.grad(module.losses(batch[user : user + 1]).sum(), parameters, allow_unused=True)
        flat = torch.cat(
            [
                torch.zeros(one.numel()) if own is None else own.flatten()
                for one, own in zip(parameters, gradients, strict=True)
            ]
        )
        total = total + flat * min(1.0, bound / max(float(flat.norm()), 1e-12))
    sgd._clipping = engine._clipping(module, bound, sgd._mode)
    sums = sgd._optimizer.sums
    sums.clear()
    for part in sgd._parts(batch):
        sgd._clipping.add(part, sums)
    found = torch.cat([sums.of(one).flatten() for one in parameters])
    return float((found - total).norm() / total.norm())
