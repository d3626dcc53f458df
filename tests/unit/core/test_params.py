from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.core import params
from components.core.errors import Misconfigured

ROOT = Path(__file__).parents[3]
SMALL = "source: shop\nsources: {shop: {kind: shop, public: true, users: 900}}\nservices: {recommend: {}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(SMALL)
    return tmp_path / "params.yaml"


def test_the_file_of_the_checkout_is_read_whole() -> None:
    tree = params.load(ROOT / "params.yaml")
    assert tree.chosen_source.kind == tree.source
    assert "recommend" in tree.services


def test_what_is_not_said_has_its_default(path: Path) -> None:
    tree = params.load(path)
    assert (tree.privacy.block, tree.privacy.cap.epsilon, tree.privacy.lifetime_cap) == ("quarter", 10.0, None)


@pytest.mark.parametrize(
    ("line", "key", "allowed"),
    [
        ("treining: {epsilon: 1}", "treining", "training"),
        ("privacy: {blok: month}", r"privacy\.blok", "block, cap"),
        ("privacy: {cap: {epsilonn: 1}}", r"privacy\.cap\.epsilonn", "delta, epsilon"),
        ("privacy: {lifetime_cap: {eps: 1}}", r"privacy\.lifetime_cap\.eps", "delta, epsilon"),
    ],
)
def test_an_unknown_key_is_refused_with_the_keys_that_are_allowed(
    path: Path, line: str, key: str, allowed: str
) -> None:
    path.write_text(SMALL + line + "\n")
    with pytest.raises(Misconfigured, match=rf"has the unknown key {key} \(limit allowed keys .*{allowed}.*Rename or"):
        params.load(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("training: {epsilon: -1}", r"training\.epsilon: .*greater than 0 \(found -1\)"),
        ("privacy: {block: decade}", r"privacy\.block: .*'quarter'.*\(found 'decade'\)"),
        ("split: {train: 0.5}", r"split: .*must be 1, not 0\.7"),
        ("source: nowhere", r"source 'nowhere' is not one of \['shop'\]"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(path: Path, line: str, said: str) -> None:
    path.write_text(SMALL.replace("source: shop\n", "") + line if line.startswith("source") else SMALL + line)
    with pytest.raises(Misconfigured, match=said):
        params.load(path)


@pytest.mark.parametrize("content", [b"source: [shop", b"\xff\xfe\x00"])
def test_what_is_not_yaml_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="is not YAML"):
        params.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"params\.yaml does not exist"):
        params.load(tmp_path / "params.yaml")


def test_a_sources_own_keys_are_its_readers(path: Path) -> None:
    assert params.load(path).chosen_source.options == {"users": 900}


def test_overrides_are_merged_and_checked_again(path: Path) -> None:
    tree = params.load(path)
    changed = tree.but(privacy={"block": "month"}, training={"epsilon": 1.0})
    assert (changed.privacy.block, changed.privacy.cap, changed.training.epsilon) == ("month", tree.privacy.cap, 1.0)
    assert tree.privacy.block == "quarter"
    with pytest.raises(Misconfigured, match=r"the overrides has the unknown key privacy\.blok"):
        tree.but(privacy={"blok": "month"})


def test_what_is_written_is_read_back(path: Path, tmp_path: Path) -> None:
    tree = params.load(path)
    assert params.load(tree.write(tmp_path / "workspace" / "params.yaml")) == tree


def test_nobody_changes_a_tree(path: Path) -> None:
    with pytest.raises(ValidationError):
        params.load(path).training.epsilon = 100.0  # type: ignore[misc]


def test_a_set_without_people_is_no_source(path: Path) -> None:
    """Of Open Bandit nobody knows whose an impression was: a benchmark, and nothing for a ledger."""
    path.write_text(SMALL.replace("kind: shop", "kind: open-bandit"))
    with pytest.raises(Misconfigured, match="kind"):
        params.load(path)
