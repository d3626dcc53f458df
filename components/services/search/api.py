"""What the shop's backend asks and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.services.search.data import MOST_LETTERS

if TYPE_CHECKING:
    from components.services.search.scoring import Engine

MOST_HISTORY = 200
MOST_ITEMS = 100
_SUGGESTED = 5

_ENGLISH_ALONE = "The meaning of a query is compared in English alone; this one was searched by its words."


class Request(BaseModel):
    """A query, and the asker's own history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: str = Field(min_length=1, max_length=MOST_LETTERS)
    """What was typed, with at least one letter or digit."""
    k: int = Field(10, ge=1, le=MOST_ITEMS)
    history: list[Annotated[str, Field(max_length=MOST_LETTERS)]] = Field(default_factory=list, max_length=MOST_HISTORY)
    """Items, in any order; what the catalogue does not know is counted and left aside."""
    language: Literal["en", "zh", "other"] | None = None
    """Of the query; without it, its script decides."""

    @field_validator("q")
    @classmethod
    def _something_to_look_for(cls, query: str) -> str:
        if not any(letter.isalnum() for letter in query) or any(ord(letter) < 32 for letter in query):
            raise ValueError("a query must have a letter or a digit, and no control character")
        return query


class Why(BaseModel):
    """Why an item is in the answer."""

    model_config = ConfigDict(frozen=True)

    words: list[str]
    """Words of the query, as they were understood, that the item has."""
    meaning: float | None
    """Cosine of query and item, from −1 to 1; null where meaning was not compared."""
    history: float
    """What the asker's own history adds to the score."""


class Found(BaseModel):
    """One item."""

    model_config = ConfigDict(frozen=True)

    item: str
    title: str | None
    category: str
    score: float
    """It orders the items of this answer, and says nothing beside another's."""
    why: Why


class Answer(BaseModel):
    """The best items first; none where nothing fits."""

    items: list[Found]
    understood: str
    """The query's words, corrected where the catalogue spells them otherwise."""
    corrected: bool
    note: str | None
    """What the search could not do for this query."""
    suggestions: list[str]
    """Popular searches like this one: phrases of the catalogue that were released under differential privacy."""
    unknown: int
    """Items of the history that the catalogue does not know."""
    model_version: int | None = None
    epsilon: float | None = None


EXAMPLE = {"q": "dark chocolate", "k": 10}
_STORY = "dark chocolate"


def load(folder: Path) -> Engine:
    """Read a bundle whole into memory, with its lexical index and its encoder."""
    from components.services.search.bundle import read_bundle
    from components.services.search.scoring import Engine

    engine = Engine(read_bundle(folder))
    if engine.retrieval.vectors is not None:
        engine.retrieval.encoder.encode(["ready"])
    return engine


def predict(engine: Engine, request: Request) -> Answer:
    """Return the best items for the query."""
    from components.services.search.phrases import suggested
    from components.services.search.text import terms_of

    catalogue = engine.bundle.catalogue
    history = [catalogue.position[item] for item in request.history if item in catalogue.position]
    found = engine.retrieval.candidates(request.q, language=request.language)
    order, scores, own = engine.ordered(found, history)
    understood = " ".join(found.typed)
    items = []
    for rank, place in enumerate(order[: request.k]):
        item = int(found.items[place])
        has = set(engine.retrieval.terms[item])
        items.append(
            Found(
                item=catalogue.items[item],
                title=catalogue.titles[item],
                category=catalogue.categories[item],
                score=float(scores[rank]),
                why=Why(
                    words=[word for word in dict.fromkeys(found.typed) if has & set(terms_of(word))],
                    meaning=round(float(found.meaning[place]), 4) if found.by_meaning else None,
                    history=float(own[rank]),
                ),
            )
        )
    return Answer(
        items=items,
        understood=understood,
        corrected=found.corrected,
        note=None if found.by_meaning or engine.bundle.config.encoder is None else _ENGLISH_ALONE,
        suggestions=suggested(engine.bundle.config.popular, understood, _SUGGESTED),
        unknown=sum(item not in catalogue.position for item in request.history),
    )


def story(ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """Return what a query finds for nobody in particular, for somebody with a history, and mistyped, as text."""
    nobody = ask({"q": _STORY, "k": 10})
    had = [item["item"] for item in nobody["items"][1:2]] * 3
    somebody = ask({"q": _STORY, "k": 3, "history": had})
    mistyped = ask({"q": _STORY.replace("co", "c"), "k": 1})
    return [
        f'"{_STORY}", asked by somebody of whom nothing is known',
        *map(_line, nobody["items"][:3]),
        f"and by somebody who took {had[0] if had else 'nothing'} three times",
        *map(_line, somebody["items"]),
        f'"{_STORY.replace("co", "c")}" was understood as "{mistyped["understood"]}"',
        f"(version {somebody['model_version']}, ε = {somebody['epsilon']:.3g})",
    ]


def _line(found: Mapping[str, Any]) -> str:
    words, history = ", ".join(found["why"]["words"]), found["why"]["history"]
    return f"  {found['item']} {found['title'] or ''}: has {words or 'none of its words'}; history adds {history:+.2f}"
