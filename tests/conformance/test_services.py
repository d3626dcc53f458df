"""A service is a folder, a suite and a key in params.yaml; none goes without the others."""

from __future__ import annotations

from pathlib import Path

import yaml

from components.core.service import find

ROOT = Path(__file__).parents[2]
TABLES = {"events", "items", "ads_table", "messages", "prepared"}
"""Suites of tables that all services share."""


def test_folders_suites_and_parameters_name_the_same_services() -> None:
    folders = {path.parent.name for path in (ROOT / "components" / "services").glob("*/__init__.py")}
    suites = {path.stem for path in (ROOT / "expectations").glob("*.json")} - TABLES
    configured = set(yaml.safe_load((ROOT / "params.yaml").read_text())["services"])
    assert folders == suites == configured


def test_each_service_is_found_under_its_own_name() -> None:
    for path in (ROOT / "components" / "services").glob("*/__init__.py"):
        assert find(path.parent.name).name == path.parent.name
