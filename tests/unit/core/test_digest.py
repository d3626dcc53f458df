from __future__ import annotations

import sys
from pathlib import Path

import pytest

from components.core import digest
from components.core.errors import ContractBroken


def folder(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_canonical_json_has_one_form() -> None:
    assert digest.canonical_json({"b": [1, 2.5], "a": "ü"}) == '{"a":"ü","b":[1,2.5]}'.encode()
    assert digest.of_json({"b": 1, "a": 2}) == digest.of_json({"a": 2, "b": 1})
    assert digest.of_json([1, 2]) != digest.of_json([2, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_canonical_form(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest.canonical_json({"loss": value})


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-4's own example
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest.of_path(tmp_path / "abc") == digest.of_bytes(b"abc") == published


def test_a_folders_digest_is_of_its_names_and_contents_alone(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", config="{}", inner__weights="w")
    same = folder(tmp_path / "same", inner__weights="w", config="{}")
    assert digest.of_path(one) == digest.of_path(same)
    changed = [
        folder(tmp_path / "content", config="{ }", inner__weights="w"),
        folder(tmp_path / "name", config="{}", inner__weight="w"),
        folder(tmp_path / "place", config="{}", weights="w"),
        folder(tmp_path / "more", config="{}", inner__weights="w", items="i"),
    ]
    assert len({digest.of_path(path) for path in [one, *changed]}) == 5


def test_a_changed_module_has_another_digest_and_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "a_mechanism_of_this_test.py"
    module.write_text("raise AssertionError('it was imported')\n")
    names = [module.stem, "components.core.digest"]
    before = digest.of_modules(names)
    assert digest.of_modules(reversed(names)) == before
    module.write_text("raise AssertionError('it was imported')  # less noise\n")
    assert digest.of_modules(names) != before
    assert module.stem not in sys.modules


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_mechanism"):
        digest.of_modules(["components.core.digest", "no_such_mechanism"])


def test_a_missing_path_has_no_digest_and_an_empty_folder_has_one(tmp_path: Path) -> None:
    empty = folder(tmp_path / "empty")
    empty.mkdir()
    assert digest.of_path(empty) == digest.of_json({})
    for missing in (tmp_path / "gone", empty / "gone.json"):
        with pytest.raises(ContractBroken, match=r"nothing at .*gone") as refused:
            digest.of_path(missing)
        assert "restore it" in str(refused.value)


def test_what_a_module_reaches_is_read_from_its_source_late_imports_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder(
        tmp_path / "rooms_of_this_test",
        **{
            "__init__.py": "",
            "starts.py": "from typing import TYPE_CHECKING\nfrom rooms_of_this_test import direct\n"
            "if TYPE_CHECKING:\n    from rooms_of_this_test import typed\n",
            "direct.py": "def late():\n    from rooms_of_this_test.beneath.last import thing\n    return thing\n",
            "beneath__last.py": "import json\nimport rooms_of_this_test.starts\nthing = 1\nraise AssertionError\n",
            "typed.py": "",
            "beside.py": "",
        },
    )
    (tmp_path / "rooms_of_this_test" / "beneath" / "__init__.py").touch()
    starts = "rooms_of_this_test.starts"
    found = digest.reached([starts], within=["rooms_of_this_test"])
    assert found == {starts, "rooms_of_this_test.direct", "rooms_of_this_test.beneath.last"}
    assert digest.reached([starts], within=["another_room"]) == {starts}
    assert "rooms_of_this_test.beneath.last" not in sys.modules


def test_a_keyed_digest_is_hmac_sha_256() -> None:
    # RFC 4231, test case 2
    published = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert digest.keyed(b"Jefe", "what do ya want for nothing?") == published
    assert digest.keyed(b"another", "what do ya want for nothing?") != published
