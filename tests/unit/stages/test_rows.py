"""A service's rows: named by what they are, and opened only as what was named."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.data.pseudonym import digest_key
from components.stages.rows import private_rows
from components.stages.run import Run


def test_rows_are_named_without_a_plain_digest_of_the_table(divided: Run) -> None:
    items = divided.data / "split" / "public" / "items.parquet"
    params = digest.of_json(divided.service("toy")[1].model_dump(mode="json"))
    view = f"toy rows {digest.of_json({'items': digest.of_path(items)})} {params}"
    for which, rows in private_rows(divided, "toy").items():
        plain = digest.of_json(
            {"interactions": digest.of_path(divided.data / "split" / which / "interactions.parquet")}
        )
        keyed = digest.keyed(digest_key(divided.settings.home), plain)
        assert rows.digest == digest.of_json([keyed, view]) != digest.of_json([plain, view])


def test_rows_that_changed_since_they_were_named_are_not_opened(divided: Run) -> None:
    rows, path = private_rows(divided, "toy")["train"], divided.data / "split" / "train" / "interactions.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ContractBroken, match="changed since it was named"):
        rows.open_public()
