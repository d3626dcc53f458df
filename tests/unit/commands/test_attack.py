"""`jali attack`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.commands import attack as command
from components.core.errors import Refused
from components.core.records import Dataset
from components.core.settings import Settings
from components.evaluation.attack import Attack
from components.registry import attachments
from components.stages import attack as stage
from components.stages import dataset as datasets
from tests.unit.evaluation.test_attack import attack_of, told_apart


def found_of(with_noise: float, without: float, epsilon: float = 3.0) -> Attack:
    return attack_of(told_apart(with_noise), told_apart(without), epsilon)


@pytest.fixture
def attacked(here: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Answer the command with an attack that was made elsewhere."""
    attached: list[tuple[Any, ...]] = []
    public = Dataset(source="shop", public=True, start=None, end=None, blocks=("b",), digest_keyed="a", checks=())

    def answer(found: Attack, version: int | None = None, dataset: Dataset = public) -> list[tuple[Any, ...]]:
        run = SimpleNamespace(settings=here, root=tmp_path)
        monkeypatch.setattr(command, "_workspace", lambda service, source: (run, None, version))
        monkeypatch.setattr(datasets, "dataset_of", lambda run: dataset)
        monkeypatch.setattr(stage, "attack", lambda *args, **options: found)
        monkeypatch.setattr(stage, "folder_of", lambda run, name: tmp_path)
        monkeypatch.setattr(attachments, "attach", lambda *args, **options: attached.append((*args, options)))
        return attached

    answer.public = public  # type: ignore[attr-defined]
    return answer


def invoked(*words: str) -> Any:
    return CliRunner().invoke(jali, ["attack", *words], standalone_mode=False)


def test_a_claim_that_stands_is_told_with_its_table_and_its_plot(attacked: Any, tmp_path: Path) -> None:
    attacked(found_of(0.2, 2.0))
    result = invoked()
    assert result.exception is None
    assert "the claim stands" in result.output
    assert f"{tmp_path}/attack.png" in result.output


def test_as_json_it_is_the_record_and_nothing_else(attacked: Any) -> None:
    found = found_of(0.2, 2.0)
    attacked(found)
    body = json.loads(invoked("--json").output)
    assert Attack.model_validate(body) == found


def test_an_attack_that_proves_nothing_says_so_and_fails(attacked: Any) -> None:
    attacked(found_of(0.0, 0.1))
    result = invoked()
    assert isinstance(result.exception, Refused)
    assert result.exception.exit_code == 20
    assert "proves nothing" in str(result.exception)


def test_a_refuted_claim_fails(attacked: Any) -> None:
    attacked(found_of(3.0, 3.0, epsilon=0.5))
    result = invoked()
    assert isinstance(result.exception, Refused)
    assert "REFUTED" in str(result.exception)


def test_the_report_of_a_version_gets_the_plot_and_the_section(attacked: Any) -> None:
    attached = attacked(found_of(0.2, 2.0), version=3)
    invoked()
    ((_, service, version, options),) = attached
    assert (service, version) == ("recommend", 3)
    assert options["report"].startswith(options["title"])


def test_a_private_source_is_refused(attacked: Any) -> None:
    attacked(found_of(0.2, 2.0), dataset=attacked.public.model_copy(update={"public": False}))
    result = invoked()
    assert isinstance(result.exception, Refused)
    assert "private source" in str(result.exception)
