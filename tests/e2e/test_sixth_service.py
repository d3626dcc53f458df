"""The service of `docs/add-a-service.md`, from that page alone: its tests, and the whole way to an answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from components.core import params

from . import document
from .checkout import ROOT, Checkout, call, until

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600)]

PAGE = ROOT / "docs" / "add-a-service.md"
ITS_TESTS = ("tests/conformance/test_aisles.py", "tests/conformance/test_services.py")
OF_ALL = ("tests/architecture/test_private_reads.py", "tests/architecture/test_digests.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A fresh checkout, with all its services, to which only what the page shows was added."""
    services = params.load(ROOT / "params.yaml").services
    made = Checkout.make(tmp_path_factory.mktemp("sixth"), services=services)
    for name, content in document.files(PAGE).items():
        assert not (made.root / name).exists()
        (made.root / name).parent.mkdir(parents=True, exist_ok=True)
        (made.root / name).write_text(content)
    path = made.root / "params.yaml"
    params.load(path).but(**yaml.safe_load(document.parameters(PAGE))).write(path)
    try:
        yield made
    finally:
        made.run("down")


def test_it_is_one_folder_one_suite_one_name_and_one_class_of_tests() -> None:
    shown = {name.rsplit("/", 1)[0] for name in document.files(PAGE)}
    assert shown == {"components/services/aisles", "expectations", "tests/conformance"}
    assert list(yaml.safe_load(document.parameters(PAGE))) == ["services"]


def test_it_passes_its_conformance_tests_and_the_review_of_all_code(checkout: Checkout) -> None:
    own = (checkout.root / ITS_TESTS[0]).read_text()
    shutil.copytree(ROOT / "tests", checkout.root / "tests", dirs_exist_ok=True)
    assert (checkout.root / ITS_TESTS[0]).read_text() == own
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ITS_TESTS, *OF_ALL, "-k", "not planted"],
        cwd=checkout.root,
        env={**os.environ, "PYTHONPATH": str(checkout.root), "JALI_ROOT": str(checkout.root)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout[-3000:]


def test_it_goes_the_whole_way_to_an_answer_and_a_statement(checkout: Checkout) -> None:
    path = checkout.root / "params.yaml"
    tree = params.load(path)  # the others' suites ask for more people than this small shop has
    tree.model_copy(update={"services": {"aisles": tree.services["aisles"]}}).write(path)
    checkout.jali("up")
    for name in ("ana", "ben"):
        checkout.jali("keys", "new", name, "--add")
    assert "jali promote approve aisles" in checkout.jali("run", "pipeline", "--service", "aisles", "--author", "ana")
    checkout.jali("promote", "approve", "aisles", "1", "--by", "ben", "--reason", "the gates passed")

    def served() -> dict[str, object] | None:
        try:
            return dict(call(checkout.url("serving", "/v1/aisles"), {"history": [], "k": 3}))
        except OSError:
            return None

    answer = until(served)
    assert (answer["model_version"], answer["unknown"]) == (1, 0)
    assert len(answer["aisles"]) == 3
    assert 0 < answer["epsilon"] <= 3
    with urllib.request.urlopen(checkout.url("serving", "/v1/aisles/statement"), timeout=30) as told:
        statement = json.load(told)
    charged = {(one["mechanism"], one["split"]) for one in statement["privacy"]["charged"]}
    assert {("popular", "train"), ("together", "train"), ("dp_count", "train")} <= charged
    assert statement["privacy"]["audited"]["destroyed_by_noise"]
    assert {one["service"] for one in checkout.ledger()["releases"]} <= {"aisles", "all"}
