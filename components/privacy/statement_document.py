"""The privacy statement of one version as a document: for programs by its schema, and what pages are drawn from.

Its promise is the version's own evidence. What the ledger says beside it is of the moment at which it was read, and is
left out where there is no ledger at hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.core.params import Cap
from components.core.records import PrivacyStatement
from components.privacy import outlook
from components.privacy.accounts import LIFETIME, Account, Hold

if TYPE_CHECKING:
    from components.privacy.ledger import Ledger

FORMAT: Literal["jali.privacy-statement/1"] = "jali.privacy-statement/1"
SCHEMA = Path(__file__).with_name("statement.schema.json")
"""The JSON Schema of `VersionStatement`, as `jali statement --schema` prints it."""

Split = Literal["train", "validation", "test"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UseState(_Part):
    """What one mechanism of one service took of an account; `share` is of the account, 0 to 1, held included."""

    service: str
    mechanism: str
    releases: int
    share: float


class AccountState(_Part):
    """One (block, split) account, every release of every service in it; ε is at the cap's δ by the RDP filter."""

    block: str
    split: Split
    cap: Cap
    spent: float
    held: float
    left: float
    used: float = Field(description="Share of the account that is gone, held included, 0 to 1.")
    by: tuple[UseState, ...]


class LifetimeState(_Part):
    """All releases of a split composed over a user who is in every block of the ledger."""

    split: Split
    bounded: bool = Field(description="Whether a cap holds it; without one nothing bounds what comes.")
    cap: Cap | None
    delta: float
    spent: float
    held: float


class LedgerState(_Part):
    """What the ledger said when the statement was asked for."""

    genesis: str
    read_at: datetime
    accounts: tuple[AccountState, ...] = Field(description="Of the version's blocks.")
    lifetimes: tuple[LifetimeState, ...]
    attempts_lost: int = Field(description="Releases from these blocks that ended without an output and were charged.")


class Standing(_Part):
    """Who let the version go, where it was promoted."""

    author: str
    approver: str | None
    champion_since: datetime | None


class VersionStatement(_Part):
    """The privacy statement of one version of one service."""

    format: Literal["jali.privacy-statement/1"] = FORMAT
    service: str
    version: int
    alias: Literal["champion", "challenger"] | None = Field(description="By which it was asked for.")
    model: str = Field(description="SHA-256 of the bundle.")
    candidate: str | None
    personal: bool | None = Field(description="False for the floor: the same answer for everyone.")
    source: str | None
    public: bool | None = Field(description="Whether the rows are simulated or published: nobody's secret.")
    standing: Standing | None
    statement: str = Field(description="Digest of `privacy`, which the approver signed by way of the verdict.")
    verdict: str | None = Field(description="Digest of the verdict that names that statement.")
    privacy: PrivacyStatement
    ledger: LedgerState | None
    notes: tuple[str, ...] = Field(description="What could not be said here, and why.")


def ledger_state(
    ledger: Ledger, stated: PrivacyStatement, *, cap: Cap, lifetime_cap: Cap | None, now: datetime
) -> LedgerState:
    """Return what `ledger` says of the blocks of `stated`, and of a lifetime.

    Args:
        cap, lifetime_cap: of the parameters; what an account opened with comes first.
        now: when it was read.
    """
    accounts, holds = ledger.accounts(), ledger.holds()
    mine = [account for account in accounts if account.block in stated.blocks]
    return LedgerState(
        genesis=ledger.genesis,
        read_at=now,
        accounts=tuple(_account(account, holds) for account in mine),
        lifetimes=tuple(
            _lifetime(one) for one in outlook.lifetimes(accounts, holds, cap=cap, lifetime_cap=lifetime_cap)
        ),
        attempts_lost=sum(
            hold.stage == "settled" and hold.output is None and bool(set(hold.release.blocks) & set(stated.blocks))
            for hold in holds
        ),
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the document."""
    made = VersionStatement.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": FORMAT, **made}


def schema_text() -> str:
    """Return the schema as the file beside this module holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _account(account: Account, holds: Sequence[Hold]) -> AccountState:
    assert account.block != LIFETIME, "it is of a block"
    return AccountState.model_validate(
        {
            "block": account.block,
            "split": account.split,
            "cap": account.cap,
            "spent": account.spent,
            "held": account.held,
            "left": account.left,
            "used": 1 - account.rdp_left / account.rdp_cap,
            "by": [
                UseState(
                    service=use.service, mechanism=use.mechanism, releases=use.releases, share=use.spent + use.held
                )
                for use in outlook.uses(account, holds)
            ],
        }
    )


def _lifetime(one: outlook.Lifetime) -> LifetimeState:
    account = one.account
    return LifetimeState.model_validate(
        {
            "split": account.split,
            "bounded": one.bounded,
            "cap": account.cap if one.bounded else None,
            "delta": account.cap.delta,
            "spent": account.spent,
            "held": account.held,
        }
    )
