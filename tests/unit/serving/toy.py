"""A service so small that its answers say which bundle gave them, and a source of champions that tests turn by hand."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from components.core import digest
from components.core.errors import ApprovalInvalid, JaliError
from components.core.records import PrivacyStatement
from components.core.service import Metric, Service
from components.serving.champion import Champion


@dataclass(frozen=True)
class Approved:
    """A `Champion` without a history behind it."""

    service: str
    version: int
    bundle: Path
    bundle_digest: str
    statement: PrivacyStatement
    author: str
    approver: str
    since: datetime


class ToyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    history: list[str] = Field(min_length=1, max_length=1000)
    k: int = Field(10, ge=1, le=100)


class ToyAnswer(BaseModel):
    items: list[str]


def _load(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["tag"]


def _predict(model: str, request: Any) -> ToyAnswer:
    if "explode" in request.history:
        raise KeyError(f"the history was {request.history}")
    if "slow" in request.history:
        time.sleep(0.02)
    return ToyAnswer(items=[model] * request.k)


TOY = Service(
    name="toy",
    params=BaseModel,
    metrics=(Metric("ndcg_at_100"),),
    candidates={},
    rows=lambda *_: None,
    catalogue=lambda *_: None,
    score=lambda *_: None,  # type: ignore[arg-type,return-value]
    ceiling=lambda *_: {},
    load=_load,
    predict=_predict,
    request=ToyRequest,
    answer=ToyAnswer,
    example={"history": ["tea", "milk"], "k": 2},
)

STATEMENT = PrivacyStatement(
    unit="user",
    neighbours="add or remove one user",
    epsilon=3.0,
    delta=1e-5,
    blocks=("2000Q4",),
    lifetime="unbounded",
    mechanism="gram",
    releases={"ab" * 32: "gram"},
    accountants={"pld": 3.0},
    audit="not audited",
    not_covered=("who asks", "the catalogue"),
    ledger="genesis",
)


def write_bundle(folder: Path, tag: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"tag": tag}))
    (folder / "weights.safetensors").write_bytes(bytes(64))
    return folder


def champion(folder: Path, version: int, tag: str | None = None) -> Approved:
    """A champion whose bundle answers with `tag`, by default `v<version>`."""
    bundle = write_bundle(folder / f"bundle-{version}", tag or f"v{version}")
    return Approved(
        service="toy",
        version=version,
        bundle=bundle,
        bundle_digest=digest.of_path(bundle),
        statement=STATEMENT,
        author="ana",
        approver="ben",
        since=datetime(2026, 11, 24, tzinfo=UTC),
    )


def for_service(service: str, one: Approved) -> Approved:
    return replace(one, service=service)


class HandTurned:
    """A `ChampionSource`: the test sets `champions`, and an error in its place is raised."""

    def __init__(self, **champions: Champion | JaliError) -> None:
        self.champions = champions
        self.withdrawn: set[int] = set()

    def revision(self) -> str:
        return repr(self.champions)

    def current(self, service: str) -> Champion | None:
        found = self.champions.get(service)
        if isinstance(found, JaliError):
            raise found
        return found

    def verify(self, champion: Champion) -> None:
        if champion.version in self.withdrawn:
            raise ApprovalInvalid(f"The approval of version {champion.version} was withdrawn")


class Client:
    """Calls an application in process, without its life span: nothing watches, so tests decide when it refreshes."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._send("GET", path))

    def post(self, path: str, **body: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, **body))

    async def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://jali") as client:
            return await client.request(method, path, **body)
