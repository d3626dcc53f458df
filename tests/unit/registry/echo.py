"""A service that echoes its requests: the least that a registry can hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.core.service import Metric, Service


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")
    history: list[str] = Field(max_length=1000)
    k: int = Field(10, ge=1, le=100)
    category: str | None = None


class Answer(BaseModel):
    items: list[str]
    times: int


def load(bundle: Path) -> dict[str, Any]:
    return dict(json.loads((bundle / "config.json").read_text()))


def predict(loaded: dict[str, Any], request: Request) -> Answer:
    return Answer(items=request.history[: request.k], times=loaded["times"])


def bundle(folder: Path, times: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"times": times}))
    (folder / "weights.safetensors").write_bytes(bytes(times))
    return folder


def _unused(*_: Any) -> Any:
    raise AssertionError("the registry does not call this")


ECHO = Service(
    name="echo",
    params=BaseModel,
    metrics=(Metric("ndcg_at_100"),),
    candidates={"popularity": None, "gram": None},  # type: ignore[dict-item]
    rows=_unused,
    catalogue=_unused,
    score=_unused,
    ceiling=_unused,
    load=load,
    predict=predict,
    request=Request,
    answer=Answer,
    example={"history": ["a", "b"], "k": 2},
)
