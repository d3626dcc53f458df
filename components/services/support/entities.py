"""What a message names: order numbers, products of the catalogue, and dates. By rules alone: nothing is learnt."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            *("january januar jan", "february februar feb", "march märz maerz mar", "april apr", "may mai"),
            *("june juni jun", "july juli jul", "august aug", "september sept sep", "october oktober oct okt"),
            *("november nov", "december dezember dec dez"),
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATES = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<iso>\d{4}-\d{2}-\d{2})"
    r"|(?P<slashed>\d{1,2}/\d{1,2}/\d{4})"
    r"|(?P<dotted>\d{1,2}\.\d{1,2}\.(?:\d{4})?)"
    rf"|(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?(?P<month>{_MONTH})\b\.?(?:,? (?P<year>\d{{4}}))?"
    rf"|(?P<first>{_MONTH})\.? (?P<second>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<third>\d{{4}}))?"
    r"|(?P<relative>today|yesterday|heute|gestern)"
    r")(?![\w-])",
    re.IGNORECASE,
)
_BACK = {"today": 0, "heute": 0, "yesterday": 1, "gestern": 1}
_WORD = re.compile(r"\w+")
_LONGEST = 6
_MOST_FITTING = 5
_MOST_NAMED = 20


@dataclass(frozen=True)
class Day:
    """A day that is named; `day` is None where its year is not known, or there is no such day."""

    written: str
    day: date | None


@dataclass(frozen=True)
class Product:
    """A run of words of a title; `items` are those that it may mean."""

    written: str
    items: tuple[str, ...]


def order_numbers(text: str, pattern: str) -> list[str]:
    """Return the order numbers in a message, each once, as they are compared: see `number_of`."""
    found = (one[1] if one.re.groups else one[0] for one in re.finditer(pattern, text, re.IGNORECASE))
    return list(dict.fromkeys(number_of(one, pattern) for one in found if one))[:_MOST_NAMED]


def number_of(written: str, pattern: str) -> str:
    """Return the part of an order number that two ways to write it have in common."""
    found = re.fullmatch(pattern, written.strip(), re.IGNORECASE)
    return ((found[1] if found.re.groups else found[0]) if found else written.strip()).casefold()


def dates(text: str, today: date | None = None) -> list[Day]:
    """Return the days that a message names. One without a year is the latest that is not after `today`."""
    return [Day(one[0], _day(one, today)) for one in _DATES.finditer(text)][:_MOST_NAMED]


class Titles:
    """The titles of a catalogue, to be found in messages by runs of their words.

    Args:
        items, titles: in one order; an item without a title is never found.
    """

    def __init__(self, items: Sequence[str], titles: Sequence[str | None]) -> None:
        self._runs: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._items = list(items)
        for place, title in enumerate(titles):
            whole = words((title or "").partition(",")[0])
            for start in range(len(whole)):
                for size in range(1, min(_LONGEST, len(whole) - start) + 1):
                    if size > 1 or len(whole) == 1:
                        self._runs[tuple(whole[start : start + size])].add(place)
            if len(whole) > _LONGEST:
                continue
            for start in range(1, len(whole) - 1):  # people leave a word out: brand and kind, without the line
                self._runs[(*whole[:start], *whole[start + 1 :])].add(place)

    def find(self, text: str, own: Sequence[str] = ()) -> list[Product]:
        """Return the products in a message: the longest runs of words, from left to right.

        Args:
            text: the message.
            own: items of the customer's own order; where one of them fits, it is meant.
        """
        said, found, at = words(text), list[Product](), 0
        while at < len(said) and len(found) < _MOST_NAMED:
            for size in range(min(_LONGEST, len(said) - at), 0, -1):
                fitting = self._runs.get(tuple(said[at : at + size]))
                if fitting:
                    items = [self._items[place] for place in sorted(fitting)]
                    items = [item for item in items if item in own] or items
                    if len(items) <= _MOST_FITTING:
                        found.append(Product(" ".join(said[at : at + size]), tuple(items)))
                    at += size
                    break
            else:
                at += 1
        return list(dict.fromkeys(found))


def words(text: str) -> list[str]:
    """Return the words of a text, in one form."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _day(one: re.Match[str], today: date | None) -> date | None:
    if one["relative"]:
        return today and today - timedelta(days=_BACK[one["relative"].casefold()])
    if one["iso"]:
        year, month, day = one["iso"].split("-")
    elif one["slashed"]:
        day, month, year = one["slashed"].split("/")
    elif one["dotted"]:
        day, month, year = one["dotted"].split(".")
    elif one["day"]:
        day, month, year = one["day"], str(_MONTHS[one["month"].casefold()]), one["year"] or ""
    else:
        day, month, year = one["second"], str(_MONTHS[one["first"].casefold()]), one["third"] or ""
    if year:
        return _real(int(year), int(month), int(day))
    if today is None:
        return None
    this = _real(today.year, int(month), int(day))
    return this if this and this <= today else _real(today.year - 1, int(month), int(day))


def _real(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
