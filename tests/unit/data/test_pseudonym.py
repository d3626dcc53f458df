from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from components.core.errors import ContractBroken
from components.data.pseudonym import digest_key, load_key, pseudonym, pseudonyms


def test_the_key_is_made_once_even_by_many_at_a_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(tmp_path), range(32)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pseudonym.key"]


def test_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    load_key(tmp_path)
    assert stat.S_IMODE((tmp_path / "pseudonym.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").write_bytes(b"short")
    with pytest.raises(ContractBroken, match="5 bytes"):
        load_key(tmp_path)
    assert (tmp_path / "pseudonym.key").read_bytes() == b"short"


def test_a_column_and_a_single_user_have_the_same_pseudonym() -> None:
    key = bytes(32)
    column = pa.chunked_array([["a", None], ["b", "a"]])
    assert pseudonyms(key, column).to_pylist() == [pseudonym(key, "a"), None, pseudonym(key, "b"), pseudonym(key, "a")]


def test_another_key_gives_another_pseudonym() -> None:
    assert pseudonym(bytes(32), "a") != pseudonym(bytes(31) + b"\1", "a")


def test_the_key_for_digests_is_not_the_key_for_users(tmp_path: Path) -> None:
    assert digest_key(tmp_path) != load_key(tmp_path)
    assert digest_key(tmp_path) == digest_key(tmp_path)
