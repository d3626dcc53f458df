"""From text to the words that are compared, for the languages that a shop is searched in.

Words of scripts with spaces are stemmed as English where they are Latin; Chinese, Japanese and Korean have no spaces,
so that their characters are compared in pairs, which needs no dictionary (Nie, Brisebois and Ren 1996).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ACCENTS = re.compile("[\u0300-\u036f]")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")


def normalised(text: str) -> str:
    """Return text in one form: Unicode NFKC, case folded, Latin accents away, white space single."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", _ACCENTS.sub("", apart)).split())


def words(text: str) -> list[str]:
    """Return the words as they stand, in order: what is spelt and shown. Unspaced scripts give one piece a run."""
    return [piece for found in _PIECE.findall(normalised(text)) for piece in _by_script(found)]


def terms(text: str) -> list[str]:
    """Return what the lexical index compares: stems of words, and pairs of unspaced characters."""
    return [term for word in words(text) for term in terms_of(word)]


def terms_of(word: str) -> list[str]:
    """Return the terms of one of `words`."""
    if _UNSPACED.fullmatch(word):
        return [word] if len(word) == 1 else [word[at : at + 2] for at in range(len(word) - 1)]
    return [str(_stemmer().stemWord(word))] if is_latin(word) else [word]


def listed_terms(text: str) -> list[str]:
    """Return the terms of what is listed: as `terms`, and single unspaced characters, so that one of them is found."""
    singles = [one for word in words(text) if _UNSPACED.fullmatch(word) and len(word) > 1 for one in word]
    return terms(text) + singles


def is_latin(text: str) -> bool:
    """Return whether there are letters, and all of them are Latin."""
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and all(_is_latin_letter(letter) for letter in letters)


def is_english(text: str, language: str | None) -> bool:
    """Return whether the encoder knows the language of `text`: it is said to be English, or nothing is and it is in
    Latin letters.
    """
    return (language is None or language == "en") and is_latin(text)


@lru_cache(maxsize=4096)
def _is_latin_letter(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE"))


def _by_script(piece: str) -> Iterator[str]:
    at = 0
    for run in _UNSPACED.finditer(piece):
        if run.start() > at:
            yield piece[at : run.start()]
        yield run.group()
        at = run.end()
    if at < len(piece):
        yield piece[at:]


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")
