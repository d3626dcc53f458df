"""How a shop's own columns become the canonical ones: what a person writes in `params.yaml: sources`."""

from __future__ import annotations

from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from components.core.params import Section
from components.data.tables import EVENT_KINDS

EventColumn = Literal[
    "user", "session", "ts", "event", "item", "ad", "query", "position", "quantity", "unit_price", "line_price",
    "currency", "rating", "text", "site",
]  # fmt: skip
ItemColumn = Literal["item", "title", "category", "brand", "price"]
AdColumn = Literal["ad", "item", "campaign", "placement", "starts", "ends", "bid"]
MessageColumn = Literal["message", "user", "ts", "text", "language", "intent"]

# ISO 4217: currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}


def exponent(currency: str | None) -> int:
    """Return how many decimal digits the minor unit of `currency` takes (ISO 4217); 2 where it is not known."""
    return _EXPONENTS.get(currency or "", 2)


class Money(Section):
    """How amounts of money are written."""

    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    """ISO 4217 code of all rows, where no column gives it."""
    money: Literal["major", "minor"] = "major"
    """`major`: 12.50 is twelve and a half; `minor`: 1250 is the same."""
    decimal: Literal[".", ","] = "."


class Clock(Section):
    """How times are written."""

    timezone: str | None = None
    """IANA zone of timestamps that carry none; without it such rows are quarantined."""
    ts_format: str | None = None
    """strptime format of the timestamps; without it they are ISO 8601."""
    epoch: Literal["s", "ms"] | None = None
    """Timestamps are numbers: seconds or milliseconds since 1970."""

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must be an IANA time zone such as Europe/Paris") from error


class Meaning(Money, Clock):
    """How the values of events are to be understood."""

    event: str | None = None
    """The kind of all rows, where no column gives it."""
    kinds: dict[str, str] = Field(default_factory=dict)
    """The shop's names of event kinds and ours."""

    @model_validator(mode="after")
    def _kinds_are_ours(self) -> Self:
        for kind in [*self.kinds.values(), *([self.event] if self.event else [])]:
            if kind not in EVENT_KINDS:
                raise ValueError(f"the event kind {kind!r} is not one of {', '.join(EVENT_KINDS)}")
        return self


class EventsMapping(Meaning):
    """Canonical column name -> the shop's column name, and how to read the values."""

    columns: dict[EventColumn, str]

    @model_validator(mode="after")
    def _names_what_is_needed(self) -> Self:
        missing = [name for name in ("user", "ts") if name not in self.columns]
        if missing:
            raise ValueError(f"columns must name {' and '.join(missing)}")
        if "event" not in self.columns and self.event is None:
            raise ValueError("name the column of the event, or set event to one of " + ", ".join(EVENT_KINDS))
        return self

    @property
    def meaning(self) -> Meaning:
        """The part that does not depend on where the rows lie."""
        return Meaning(**{name: getattr(self, name) for name in Meaning.model_fields})


class ItemsMapping(Money):
    """Canonical column name -> the catalogue's column name."""

    columns: dict[ItemColumn, str]

    @model_validator(mode="after")
    def _names_the_item(self) -> Self:
        if "item" not in self.columns:
            raise ValueError("columns must name item")
        return self


class AdsMapping(Money, Clock):
    """Canonical column name -> the column's name in the table of ads."""

    columns: dict[AdColumn, str]

    @model_validator(mode="after")
    def _names_the_ad(self) -> Self:
        if "ad" not in self.columns:
            raise ValueError("columns must name ad")
        return self


class MessagesMapping(Clock):
    """Canonical column name -> the column's name in the table of messages."""

    columns: dict[MessageColumn, str]

    @model_validator(mode="after")
    def _names_what_is_needed(self) -> Self:
        missing = [name for name in ("message", "user", "ts", "text") if name not in self.columns]
        if missing:
            raise ValueError(f"columns must name {' and '.join(missing)}")
        return self

    @property
    def meaning(self) -> Clock:
        """The part that does not depend on where the rows lie."""
        return Clock(**{name: getattr(self, name) for name in Clock.model_fields})
