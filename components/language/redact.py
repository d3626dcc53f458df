"""What free text says of who wrote it is taken out before it is stored: e-mail addresses, payment cards, bank accounts,
telephone numbers, postal addresses, and names where the text says that they are names.

Rules alone, in English and German: an address or a number has a form, and a card and an account a checksum. A name has
none. One is found where it is introduced ("my name is", "Frau") or signs a message; elsewhere it stays. Order numbers,
dates, prices and quantities stay, which answers need. Every rule runs in time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa

VERSION = 1
"""Of the rules: what was collected by others is another dataset."""

_MOST_LETTERS = 20_000  # what is longer is cut before the rules; no message is

_NAME = r"[^\W\d_a-zäöüß][\w'’-]{1,30}"
_NAMES = rf"{_NAME}(?: {_NAME}){{0,2}}"
_FULL_NAME = rf"{_NAME} {_NAME}(?: {_NAME})?"
_STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Boulevard|Blvd|Court|Square|Terrace|Crescent|Close|Way)"
_STRASSE = r"[\w-]{1,40}(?i:stra(?:ß|ss)e|str\.)|[^\W\d_a-zäöüß][\w-]{1,40}(?:weg|platz|allee|gasse|damm|ufer)"

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.,/#-])(?:"
    r"(?:\+|00)[1-9][\d ()/.-]{5,18}\d"
    r"|\(0?\d{2,5}\)[ /-]?\d[\d /-]{3,12}\d"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|\d{3}[.-]\d{3}[.-]\d{4}"
    r"|0\d[\d /.-]{5,14}\d"
    r")(?![\w-])"
)
_DATE = re.compile(r"\d{1,2}[./ -]\d{1,2}[./ -](?:\d{4}|\d{2})?")
_ADDRESSES = (
    re.compile(rf"\b\d{{1,5}}[a-zA-Z]?,? (?:{_NAME} ){{1,4}}{_STREET}\b\.?(?:,? \d{{5}}(?:-\d{{4}})?\b)?"),
    re.compile(rf"\b(?:{_STRASSE}) ?\d{{1,4}} ?[a-zA-Z]?\b(?:,? \d{{5}} {_NAME})?"),
    re.compile(
        rf"\b[\w-]{{2,40}} (?:Straße|Strasse|Str\.|Weg|Platz|Allee) \d{{1,4}}[a-zA-Z]?\b(?:,? \d{{5}} {_NAME})?"
    ),
    re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"),  # a British postcode
    re.compile(rf"\b(?:D-)?\d{{5}} (?={_NAME}\s*(?:[,.\n]|$)){_NAME}"),  # a postal code and its town
)
_INTRODUCED = re.compile(
    rf"\b((?i:my name is|my name's|name:|i am called|mein name ist|ich heiße|ich heisse)\s+){_NAMES}"
    rf"|\b((?i:i am|i'm|this is|ich bin|hier ist|hier spricht)\s+){_FULL_NAME}"
    rf"|\b((?:Mr|Mrs|Ms|Herr|Herrn|Frau)\b\.? ){_NAMES}"
)
_SIGNED = re.compile(
    r"((?i:regards|sincerely|cheers|thanks|thank you|yours|greetings|grüßen|grüssen|grüße|grüsse|gruß|gruss|dank)"
    rf"[!.,]?[ \t]*\n\s*){_NAMES}\s*$"
    rf"|((?i:regards|sincerely|grüßen|grüssen|grüße|grüsse),?\s+){_FULL_NAME}\s*$"
)


def redacted(text: str) -> str:
    """Return `text` with what the rules find replaced by `[email]`, `[card]`, `[account]`, `[phone]`, `[address]` and
    `[name]`; text without any of it is returned as it is.
    """
    text = text[:_MOST_LETTERS]
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: _if(_is_iban, found, "[account]"), text)
    text = _CARD.sub(lambda found: _if(_is_card, found, "[card]"), text)
    text = _PHONE.sub(lambda found: _if(_is_phone, found, "[phone]"), text)
    for address in _ADDRESSES:
        text = address.sub("[address]", text)
    for names in (_INTRODUCED, _SIGNED):
        text = names.sub(lambda found: next(group for group in found.groups() if group) + "[name]", text)
    return text


def redact(column: pa.Array) -> pa.Array:
    """Return a column of free text, nulls included, as `redacted` leaves it."""
    written = column.dictionary_encode()
    said = [None if text is None else redacted(text) for text in written.dictionary.to_pylist()]
    return pa.array(said, pa.string()).take(written.indices)


def _if(holds: Callable[[str], bool], found: re.Match[str], instead: str) -> str:
    return instead if holds(found[0]) else found[0]


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _is_card(text: str) -> bool:
    """Return whether the checksum is a card's (Luhn, ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in _digits(text)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return any(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Return whether the checksum is an account number's (ISO 13616)."""
    whole = text.replace(" ", "")
    return 15 <= len(whole) <= 34 and int("".join(str(int(letter, 36)) for letter in whole[4:] + whole[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    return 7 <= len(_digits(text)) <= 15 and not _DATE.fullmatch(text)
