from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.core import digest
from components.services.recommend import SERVICE
from components.services.recommend.bundle import Bundle, Config, write_bundle
from components.services.recommend.data import Catalogue
from components.serving.app import create

from .toy import Client, HandTurned, champion, for_service

ITEMS = {"item": ["tea", "milk", "soap", "rice"], "title": ["Tea", "Milk", None, "Rice"]}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    catalogue = Catalogue(pa.table({**ITEMS, "category": ["food/drink", "food/drink", "home", "food"]}))
    popularity = np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32)
    folder = tmp_path / "popularity"
    write_bundle(folder, Bundle(Config(kind="popularity"), {"popularity": popularity}, catalogue))
    promoted = replace(champion(tmp_path, 7), bundle=folder, bundle_digest=digest.of_path(folder))
    app = create([SERVICE], HandTurned(recommend=for_service("recommend", promoted)))
    app.state.rollout.refresh()
    assert app.state.rollout.problems == {}
    return Client(app)


def test_recommend_answers_over_http_with_its_version_and_epsilon(client: Client) -> None:
    answer = client.post("/v1/recommend", json={"history": ["tea", "no such item"], "k": 2})
    assert answer.status_code == 200
    body = answer.json()
    assert [item["item"] for item in body["items"]] == ["milk", "soap"]
    assert body["items"][1]["title"] is None
    assert (body["unknown"], body["model_version"], body["epsilon"]) == (1, 7, 3.0)


def test_recommend_stays_within_a_category(client: Client) -> None:
    body = client.post("/v1/recommend", json={"history": ["tea"], "category": "food"}).json()
    assert [item["item"] for item in body["items"]] == ["milk", "rice"]


@pytest.mark.parametrize("request_body", [{"history": ["x"] * 1001}, {"k": 101}, {"k": 0}, {"history": "tea"}])
def test_recommend_refuses_what_is_out_of_bounds_by_name(client: Client, request_body: dict[str, object]) -> None:
    answer = client.post("/v1/recommend", json=request_body)
    assert answer.status_code == 422
    assert answer.json()["field"] in request_body
    assert answer.json()["field"] in answer.json()["detail"]


def test_a_misspelt_field_of_recommend_is_told_the_names_there_are(client: Client) -> None:
    answer = client.post("/v1/recommend", json={"histroy": ["tea"]})
    assert answer.status_code == 422
    assert "those there are: history, k" in answer.json()["detail"]


def test_the_documented_example_of_recommend_works(client: Client) -> None:
    post = client.get("/openapi.json").json()["paths"]["/v1/recommend"]["post"]
    example = post["requestBody"]["content"]["application/json"]["examples"]["default"]["value"]
    assert client.post("/v1/recommend", json=example).status_code == 200
