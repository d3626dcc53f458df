from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.core.service import Service
from components.serving import bundle

from .toy import TOY, champion


def test_an_approved_bundle_is_loaded_with_its_version_and_epsilon(tmp_path: Path) -> None:
    loaded = bundle.load(TOY, champion(tmp_path, 3))
    assert (loaded.model, loaded.version, loaded.epsilon) == ("v3", 3, 3.0)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_bundle_with_one_flipped_bit_is_never_parsed(tmp_path: Path, name: str) -> None:
    approved = champion(tmp_path, 3)
    file = approved.bundle / name
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ContractBroken, match="is not the one that was approved"):
        bundle.load(_never_loaded(), approved)


def test_a_bundle_with_an_added_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    added, missing = champion(tmp_path, 1), champion(tmp_path, 2)
    (added.bundle / "more.json").write_text("{}")
    (missing.bundle / "weights.safetensors").unlink()
    for one in (added, missing):
        with pytest.raises(ContractBroken, match="is not the one that was approved"):
            bundle.load(_never_loaded(), one)


def test_a_pickle_is_refused_even_where_it_was_approved(tmp_path: Path) -> None:
    one = champion(tmp_path, 1)
    (one.bundle / "model.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(ContractBroken, match=r"model\.pkl"):
        bundle.load(_never_loaded(), replace(one, bundle_digest=digest.of_path(one.bundle)))


def test_a_link_out_of_the_bundle_is_refused_even_where_its_content_was_approved(tmp_path: Path) -> None:
    one = champion(tmp_path, 1)
    (tmp_path / "elsewhere.json").write_text("{}")
    (one.bundle / "more.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ContractBroken, match=r"more\.json"):
        bundle.load(_never_loaded(), replace(one, bundle_digest=digest.of_path(one.bundle)))


def test_a_missing_bundle_is_named_with_the_next_step(tmp_path: Path) -> None:
    gone = replace(champion(tmp_path, 1), bundle=tmp_path / "gone")
    with pytest.raises(ContractBroken, match=r"is missing .*gone.* Restore the store"):
        bundle.load(TOY, gone)


def test_a_bundle_that_cannot_answer_the_example_is_refused(tmp_path: Path) -> None:
    broken = replace(TOY, example={"history": ["explode"]})
    with pytest.raises(ContractBroken, match="cannot answer the example"):
        bundle.load(broken, champion(tmp_path, 1))


def test_what_is_parsed_is_the_verified_copy_and_not_the_store(tmp_path: Path) -> None:
    approved = champion(tmp_path, 1)
    seen: list[Path] = []

    def load(folder: Path) -> str:
        (approved.bundle / "config.json").write_text('{"tag": "swapped after the check"}')
        seen.append(folder)
        return TOY.load(folder)

    loaded = bundle.load(replace(TOY, load=load), approved)
    assert loaded.model == "v1"
    assert not seen[0].exists()


def _never_loaded() -> Service:
    def load(folder: Path) -> None:
        raise AssertionError(f"{folder} was parsed")

    return replace(TOY, load=load)
