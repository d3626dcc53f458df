"""What some shoppers write: messages with a known intent, about what they bought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from components.data.shop.sentences import CLOSINGS, OPENINGS, OUT_OF_SCOPE, SENTENCES
from components.data.shop.visits import KINDS, Visits
from components.data.tables import MESSAGES

INTENTS = tuple(SENTENCES)
"""What a message may be about, `OUT_OF_SCOPE` included."""

_WRITERS, _ANOTHER, _MOST = 0.15, 0.35, 4
_WEIGHTS = {"order_status": 3.0, "return_item": 1.6, "refund": 1.5, "complaint": 1.6, OUT_OF_SCOPE: 1.2}
_GERMAN, _MISTYPED, _TWO_SENTENCES, _SHORT_TITLE = 0.15, 0.25, 0.15, 0.6
_DAYS_LATER = 12
_DAY = 86_400
_START = datetime(2024, 1, 1, tzinfo=UTC)
_MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
        *("November", "December"),
    ),
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober"),
        *("November", "Dezember"),
    ),
}


def order_number(session: str) -> str:
    """Return how people name the order of a visit: `visit-3-1201` is JS-3-1201, so that their digits agree."""
    return session.replace("visit-", "JS-")


def draw_messages(
    users: int, days: int, visits: Visits, titles: Sequence[str], group: int, rng: np.random.Generator
) -> tuple[np.ndarray, pa.Table]:
    """Return who writes, `(messages,)` indices among the `users`, and the messages beside, `user` not yet filled."""
    bought = np.flatnonzero(visits.kind == KINDS.index("purchase"))
    opened = np.searchsorted(visits.user[bought], np.arange(users))
    count = np.bincount(visits.user[bought], minlength=users)
    writer = np.flatnonzero(rng.random(users) < _WRITERS)
    author = np.repeat(writer, np.minimum(rng.geometric(1 - _ANOTHER, len(writer)), _MOST))
    about = bought[opened[author] + (rng.random(len(author)) * count[author]).astype(int)]
    second = visits.second[about] + 3600 + rng.random(len(author)) * _DAYS_LATER * _DAY
    second = np.minimum(second, days * _DAY - 1 - rng.integers(0, 3600, len(author))).astype(np.int64)
    weights = np.array([_WEIGHTS.get(intent, 1.0) for intent in INTENTS])
    intent = rng.choice(len(INTENTS), len(author), p=weights / weights.sum())
    another = rng.integers(0, len(titles), len(author))
    lots = rng.random((len(author), 12))
    rows = []
    for n, (place, lot) in enumerate(zip(about, lots, strict=True)):
        name = INTENTS[intent[n]]
        language = "de" if lot[0] < _GERMAN else "en"
        day = _START + timedelta(seconds=int(visits.second[place]))
        slots = {
            "order": _written_order(order_number(f"visit-{group}-{visits.visit[place]}"), lot[1]),
            "product": _shortened(titles[visits.item[place]], lot[2]),
            "other": _shortened(titles[another[n]], lot[3]),
            "date": _written_date(day, language, lot[4]),
        }
        sentences = SENTENCES[name][language]
        body = _pick(sentences, lot[5])
        if lot[6] < _TWO_SENTENCES:
            body = f"{body} {_pick([other for other in sentences if other != body], lot[7])}"
        text = (_pick(OPENINGS[language], lot[8]) + body + _pick(CLOSINGS[language], lot[9])).format(**slots)
        text = text[0].upper() + text[1:] if lot[10] < 0.7 else text
        if rng.random() < _MISTYPED:
            text = _mistyped(text, rng)
        rows.append({"message": f"M{group:03d}{n:05d}", "text": text, "language": language, "intent": name})
    table = pa.Table.from_pylist(rows, pa.schema([field for field in MESSAGES if field.name not in ("user", "ts")]))
    stamps = np.datetime64("2024-01-01T00:00:00", "us") + second * np.timedelta64(1_000_000, "us")
    return author, table.append_column("ts", pa.array(stamps).cast(pa.timestamp("us", "UTC")))


def _pick(among: Sequence[str], lot: float) -> str:
    return among[int(lot * len(among))]


def _written_order(number: str, lot: float) -> str:
    return _pick((number, number, f"#{number[3:]}", f"no. {number[3:]}", number.lower()), lot)


def _shortened(title: str, lot: float) -> str:
    """Return "Pebble Mild Rye Bread, Large" as such or as "rye bread", "Pebble Rye Bread"."""
    name = title.split(",")[0].split(" ")
    if lot > _SHORT_TITLE:
        return title.split(",")[0]
    return " ".join(name[2:]).lower() if lot < _SHORT_TITLE / 2 else " ".join([name[0], *name[2:]])


def _written_date(day: datetime, language: str, lot: float) -> str:
    month = _MONTHS[language][day.month - 1]
    if language == "de":
        return _pick((f"{day.day}. {month}", f"{day:%d.%m.%Y}", f"{day:%d.%m.}"), lot)
    return _pick((f"{day.day} {month}", f"{month} {day.day}", f"{day:%d/%m/%Y}", f"{day:%Y-%m-%d}"), lot)


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """Return `text` with one or two letters dropped, doubled or swapped; digits stay."""
    letters = list(text)
    for _ in range(int(rng.integers(1, 3))):
        inner = [n for n in range(1, len(letters) - 1) if letters[n].isalpha() and letters[n + 1].isalpha()]
        if not inner:
            break
        place, way = inner[int(rng.integers(len(inner)))], rng.integers(3)
        if way == 0:
            del letters[place]
        elif way == 1:
            letters.insert(place, letters[place])
        else:
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)
