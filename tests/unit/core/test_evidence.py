from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from components.core.errors import ContractBroken
from components.core.evidence import Record, RecordStore


class Measured(Record):
    kind: ClassVar[str] = "measured"
    what: str
    value: float = 0.0


class Weighed(Record):
    kind: ClassVar[str] = "weighed"
    what: str
    value: float = 0.0


RECORD = Measured(what="latency", value=7.5)


def edited(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert Measured.read(RECORD.write(tmp_path / "latency.json")) == RECORD


def test_equal_content_has_an_equal_digest_and_another_kind_another() -> None:
    assert Measured(value=7.5, what="latency").digest == RECORD.digest
    assert Measured(what="latency", value=7.6).digest != RECORD.digest
    assert Weighed(what="latency", value=7.5).digest != RECORD.digest


@pytest.mark.parametrize(
    "changes", [{"body": {"what": "latency", "value": 0.1}}, {"digest": "0" * 64}, {"kind": "weighed"}]
)
def test_changed_content_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = edited(RECORD.write(tmp_path / "latency.json"), **changes)
    with pytest.raises(ContractBroken, match=r"latency\.json was changed after it was written.*Restore it"):
        Measured.read(path)


def test_a_digest_that_was_changed_with_the_content_is_another_records(tmp_path: Path) -> None:
    faster = Measured(what="latency", value=0.1)
    path = edited(RECORD.write(tmp_path / "latency.json"), body=faster.body(), digest=faster.digest)
    assert Measured.read(path).digest != RECORD.digest  # whoever names the digest finds out


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"body": {"what": 1}}', b'{"body": {"what": "x", "more": 1}}'])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "latency.json").write_bytes(content)
    with pytest.raises(ContractBroken, match="cannot be read as a measured record"):
        Measured.read(tmp_path / "latency.json")


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken):
        Weighed.read(RECORD.write(tmp_path / "latency.json"))


def test_missing_evidence_names_the_step_to_run(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match=r"is missing\. Run the step that makes it"):
        Measured.read(tmp_path / "latency.json")


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Measured(what="latency", value=float("nan")).write(tmp_path / "latency.json")
    assert list(tmp_path.iterdir()) == []


def test_a_record_cannot_be_changed_and_takes_no_unknown_field() -> None:
    with pytest.raises(ValidationError):
        RECORD.value = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="unit"):
        Measured.model_validate({"what": "latency", "unit": "ms"})


def test_a_step_that_is_done_is_found_by_its_key_and_kind(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    assert store.find(Measured, "key") is None
    assert store.keep("key", RECORD) is RECORD
    assert store.find(Measured, "key") == RECORD
    assert store.find(Measured, "another") is None
    assert store.find(Weighed, "key") is None


def test_a_kept_record_that_was_changed_is_refused(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.keep("key", RECORD)
    edited(store.path(Measured, "key"), digest="0" * 64)
    with pytest.raises(ContractBroken, match="was changed"):
        store.find(Measured, "key")
