import stat

import pytest

from components.core.errors import ApprovalInvalid, Misconfigured
from components.core.records import TrainingRequest
from components.registry import identities


def training(author: str = "ana", epsilon: float = 3.0) -> TrainingRequest:
    return TrainingRequest(service="echo", dataset="d", epsilon=epsilon, author=author)


def test_a_private_key_is_readable_by_its_owner_alone(tmp_path):
    identities.new_key(tmp_path, "ana")
    assert stat.S_IMODE((tmp_path / "keys" / "ana.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_key_is_never_overwritten(tmp_path):
    before = identities.new_key(tmp_path, "ana")
    with pytest.raises(Misconfigured, match="ana has a key already"):
        identities.new_key(tmp_path, "ana")
    assert identities.public_key(tmp_path, "ana") == before


@pytest.mark.parametrize("name", ["", "Ana", "../ana", "a/b", "-ana", "a" * 64, "ana\n"])
def test_a_malformed_name_is_refused(tmp_path, name):
    with pytest.raises(Misconfigured, match="not a name for a key"):
        identities.new_key(tmp_path, name)


def test_a_signature_holds_over_exactly_what_was_signed(tmp_path):
    known = {"ana": identities.base64.b64decode(identities.new_key(tmp_path, "ana"))}
    signed = identities.sign(training(), tmp_path, "ana")
    identities.verify(signed, "ana", known)
    with pytest.raises(ApprovalInvalid, match="does not carry ana's signature"):
        identities.verify(signed.model_copy(update={"epsilon": 30.0}), "ana", known)


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA", "é"])
def test_what_is_no_signature_is_refused_in_the_same_words(tmp_path, signature):
    known = {"ana": identities.base64.b64decode(identities.new_key(tmp_path, "ana"))}
    with pytest.raises(ApprovalInvalid, match="does not carry ana's signature"):
        identities.verify(training().model_copy(update={"signature": signature}), "ana", known)


def test_an_unknown_signer_is_refused_with_who_is_known(tmp_path):
    with pytest.raises(ApprovalInvalid, match=r"found ana, limit ben"):
        identities.verify(training(), "ana", {"ben": b"0" * 32})


def test_adding_keeps_the_comments_and_is_idempotent(tmp_path):
    file = tmp_path / "identities.yaml"
    file.write_text("# reviewed by the privacy officer")
    public = identities.new_key(tmp_path, "ana")
    identities.add(file, "ana", public)
    identities.add(file, "ana", public)
    assert file.read_text() == f"# reviewed by the privacy officer\nana: {public}\n"


def test_a_listed_name_is_not_given_another_key(tmp_path):
    file = tmp_path / "identities.yaml"
    identities.add(file, "ana", identities.new_key(tmp_path / "one", "ana"))
    with pytest.raises(Misconfigured, match="another public key"):
        identities.add(file, "ana", identities.new_key(tmp_path / "two", "ana"))


def test_a_name_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "identities.yaml"
    keys = [identities.new_key(tmp_path / home, "ana") for home in ("one", "two")]
    file.write_text("".join(f"ana: {key}\n" for key in keys))
    with pytest.raises(Misconfigured, match="a name stands twice"):
        identities.load(file)


@pytest.mark.parametrize("text", ["ana: short", "ana: 7", "- ana", "ana: [", "Ana: AAAA"])
def test_a_malformed_file_of_identities_is_refused(tmp_path, text):
    file = tmp_path / "identities.yaml"
    file.write_text(text)
    with pytest.raises(Misconfigured):
        identities.load(file)


def test_a_missing_file_knows_nobody(tmp_path):
    assert identities.load(tmp_path / "identities.yaml") == {}
