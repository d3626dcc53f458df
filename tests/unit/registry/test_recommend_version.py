"""The real service's bundles through MLflow: in this process, and by `mlflow models serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from components.core import digest
from components.core.service import find
from components.registry import models, promotion
from components.registry.store import experiment, prepare_store
from components.services.recommend.data import Catalogue, Rows
from components.services.recommend.popularity import PopularityPlan

from .people import DATA, NOW, evidence

ITEMS = [f"item{n}" for n in range(5)]


@pytest.fixture
def champion(settings, tmp_path):
    """The recommender's floor on five items, promoted."""
    service = find("recommend")
    table = pa.table({"item": ITEMS, "title": [f"Title {n}" for n in range(5)], "category": ["a/b"] * 5})
    catalogue = Catalogue(table)
    rows = Rows(sparse.csr_array(np.tri(5, dtype=np.float32)), catalogue)
    folder, plan = tmp_path / "bundle", PopularityPlan(noise_multiplier=1e-6)
    service.floor.fit(rows, plan, catalogue, floor=None, intend=lambda steps: None, out=folder)
    of = evidence(settings.home, bundle=digest.of_path(folder), candidate="popularity", service="recommend")
    run = prepare_store(settings).create_run(experiment(settings, "recommend"), tags={"jali.kind": "floor"})
    models.register(settings, service, of, folder, run.info.run_id, DATA)
    promotion.request(settings, "recommend", by="ana", now=NOW)
    decision = promotion.decide(settings, "recommend", 1, outcome="approve", by="ben", reason="fine", now=NOW, days=1)
    return promotion.promote(settings, decision.request, now=NOW)


def test_the_recommenders_champion_answers_through_mlflow(settings, champion):
    model = mlflow.pyfunc.load_model("models:/jali-recommend@champion")
    answer = model.predict([{"history": ["item0"], "k": 2}])[0]
    assert [one.item for one in answer.items] == ["item1", "item2"]


@pytest.mark.slow
def test_mlflow_serves_the_recommenders_champion(settings, champion, tmp_path):
    log = tmp_path / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/jali-recommend@champion"]
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": settings.mlflow_uri,
                # MLflow runs `uvicorn` by name.
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert answered(port, {"inputs": [{"history": ["item0"], "k": 2}]}) == ["item1", "item2"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(port, {"inputs": [{"history": ["item0"], "k": 1000}]})
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def answered(port, question):
    for _ in range(120):
        try:
            return [one["item"] for one in ask(port, question)["predictions"][0]["items"]]
        except (urllib.error.URLError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.5)
    raise AssertionError("the server did not answer within a minute")


def ask(port, question):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
