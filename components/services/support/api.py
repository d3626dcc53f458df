"""What the shop's backend asks and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.services.support.data import MOST_LETTERS

if TYPE_CHECKING:
    from components.services.support.answering import Answerer, Understood

MOST_ITEMS = 200

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Item(BaseModel):
    """One item of an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: Text
    title: Text | None = None


class Order(BaseModel):
    """The asker's own order, as the shop knows it. What is not given is not told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Text
    status: Text | None = None
    placed: date | None = None
    shipped: date | None = None
    expected: date | None = None
    delivered: date | None = None
    tracking: Text | None = None
    total: Text | None = None
    """As it is written to customers, with its currency."""
    refunded: Text | None = None
    items: list[Item] = Field(default_factory=list, max_length=MOST_ITEMS)


class Request(BaseModel):
    """A customer's message, and the own order that it is likely to be about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = Field(min_length=1, max_length=MOST_LETTERS)
    """What was written, with at least one letter."""
    order: Order | None = None
    today: date | None = None
    """The day on which it was written: a date without a year is the latest before it."""

    @field_validator("message")
    @classmethod
    def _something_to_read(cls, message: str) -> str:
        strange = any(ord(letter) < 32 and letter not in "\t\n\r" for letter in message)
        if strange or not any(letter.isalpha() for letter in message):
            raise ValueError("a message must have a letter, and no control character")
        return message


class Said(BaseModel):
    """One statement of the answer, word by word as it stands at its source."""

    model_config = ConfigDict(frozen=True)

    text: str
    source: str
    """The file of the policy text, or "order": the customer's own."""
    section: str
    """The heading in the file, or the field of the order."""


class Named(BaseModel):
    """What the message names."""

    model_config = ConfigDict(frozen=True)

    orders: list[str]
    """Order numbers, in one form."""
    products: list[list[str]]
    """For each product, the items of the catalogue that it may be."""
    dates: list[date]
    """Days whose year is known."""


class HandOver(BaseModel):
    """Why a person should answer, and what that person should know first."""

    model_config = ConfigDict(frozen=True)

    reason: str
    summary: str
    """Made of what was understood; the customer's own words are not in it."""


class Answer(BaseModel):
    """An answer with its sources, or a hand-over to a person: one of the two."""

    intent: str
    confidence: float
    """Probability of the intent."""
    said: list[Said]
    named: Named
    hand_over: HandOver | None
    model_version: int | None = None
    epsilon: float | None = None


EXAMPLE = {
    "message": "Where is my order JS-3-1201?",
    "order": {"number": "JS-3-1201", "status": "shipped", "shipped": "2024-03-01", "expected": "2024-03-05"},
    "today": "2024-03-03",
}


def load(folder: Path) -> Answerer:
    """Read a bundle whole into memory, with its encoder."""
    from components.services.support.answering import Answerer
    from components.services.support.bundle import read_bundle

    answerer = Answerer(read_bundle(folder))
    answerer.understood("ready")
    answerer.titles.find("ready")
    return answerer


def predict(answerer: Answerer, request: Request) -> Answer:
    """Return what the policy texts and the customer's own order say, or hand the message over to a person."""
    from components.services.support import entities

    pattern, order = answerer.bundle.config.order_number, request.order
    found = answerer.understood(request.message)
    own = [item.item for item in order.items] if order else []
    named = Named(
        orders=entities.order_numbers(request.message, pattern),
        products=[list(one.items) for one in answerer.titles.find(request.message, own)],
        dates=[one.day for one in entities.dates(request.message, request.today) if one.day],
    )
    number = entities.number_of(order.number, pattern) if order else None
    reason = answerer.unsure(found)
    if reason is None and any(one != number for one in named.orders):
        reason = "names an order that was not given"
    said = _said(found, order) if reason is None else []
    summary = _summary(found, named, order)
    return Answer(
        intent=found.intent,
        confidence=found.confidence,
        said=said,
        named=named,
        hand_over=HandOver(reason=reason, summary=summary) if reason else None,
    )


def _said(found: Understood, order: Order | None) -> list[Said]:
    if found.passage is None:
        return []
    said = [Said(text=found.passage.text, source=found.passage.source, section=found.passage.heading)]
    known = _facts(order) if order else {}
    return said + [
        Said(text=known[fact], source="order", section=fact) for fact in found.passage.facts if fact in known
    ]


def _facts(order: Order) -> dict[str, str]:
    """Return what is known of an order, each fact as it was given."""
    told = order.model_dump(mode="json", exclude={"number"}, exclude_none=True)
    titles = ", ".join(item.title or item.item for item in order.items)
    return {**told, "items": titles} if titles else {fact: text for fact, text in told.items() if fact != "items"}


def _summary(found: Understood, named: Named, order: Order | None) -> str:
    parts = [f"It is probably about {found.intent} ({found.confidence:.0%})"]
    for word, values in (("orders", named.orders), ("dates", named.dates), ("products", named.products)):
        if values:
            parts.append(f"names {word}: " + ", ".join(_listed(value) for value in values))
    if order is not None:
        parts.append(
            f"the order {order.number} was given" + (f", its status is {order.status}" if order.status else "")
        )
    return "; ".join(parts) + "."


def _listed(value: Any) -> str:
    return " or ".join(value) if isinstance(value, list) else str(value)


def story(ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """Return what two customers are told, as lines of text."""
    lines = []
    for question in (EXAMPLE, {"message": "Can you recommend a good film for tonight?"}):
        answer = ask(question)
        lines.append(f"“{question['message']}”")
        lines += [f"  {one['text']} [{one['source']}, {one['section']}]" for one in answer["said"]]
        if answer["hand_over"]:
            lines.append(f"  goes to a person ({answer['hand_over']['reason']}): {answer['hand_over']['summary']}")
    return [*lines, f"(version {answer['model_version']}, ε = {answer['epsilon']:.3g})"]
