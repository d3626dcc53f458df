"""Other ways to write the same: typing errors of a query, and paraphrases of a message, for training data.

Augmentation within the row: a text becomes a text, by random numbers and public templates alone. Where the numbers
follow from the text itself (`drawn_from`), or each user's texts have a generator of their own (`generators`), no row's
variation depends on another row; a model that clips by user then has the sensitivity that it had. Nothing is kept, and
nothing of a text is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from components.core.errors import Misconfigured

_NEAR = dict(
    zip("qwertyuiop", ["wa", "qes", "wrd", "etf", "ryg", "tuh", "yij", "uok", "ipl", "o"], strict=True),
    **dict(zip("asdfghjkl", ["qsz", "adwx", "sfec", "dgrv", "fhtb", "gjyn", "hkum", "jli", "ko"], strict=True)),
    **dict(zip("zxcvbnm", ["xa", "zcs", "xvd", "cbf", "vng", "bmh", "nj"], strict=True)),
)
"""Keys beside a key, on the keyboard that most English queries are typed on."""


def generators(key: int, rows: int) -> list[np.random.Generator]:
    """Return a generator for each row: it follows from `key` and the row's place, and from no other row.

    Args:
        key: another one at each step; it needs no secrecy.
        rows: how many there are.
    """
    return [np.random.Generator(np.random.SFC64([key, row])) for row in range(rows)]


def drawn_from(text: str, turn: int) -> np.random.Generator:
    """Return a generator that follows from `text` and the number of its variation, and from nothing else: who stands
    beside whom, and how many there are, changes no variation. It needs no secrecy.
    """
    own = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=turn.to_bytes(4, "big")).digest()
    return np.random.Generator(np.random.SFC64(list(own)))


def with_typos(text: str, rate: float, drawn: np.random.Generator) -> str:
    """Return `text` with typing errors: letters left out, doubled, exchanged with the next, or hit beside.

    Args:
        text: as it was typed. Only letters of ASCII are mistyped: in other scripts an error of a key is none of a sign.
        rate: chance of an error at each such letter; 0 returns the text.
        drawn: the row's own generator.

    Raises:
        Misconfigured: the rate is no probability.
    """
    _require_probability("query_typos", rate)
    if rate == 0:
        return text
    written, letters, place = list[str](), list(text), 0
    while place < len(letters):
        letter = letters[place]
        if letter.isascii() and letter.isalpha() and drawn.random() < rate:
            following = letters[place + 1] if place + 1 < len(letters) else ""
            error = drawn.integers(4)
            if error == 0:
                written.append("")
            elif error == 1:
                written.append(letter * 2)
            elif error == 2 and following.isalpha():
                written.append(following + letter)
                place += 1
            else:
                near = _NEAR[letter.lower()]
                hit = near[int(drawn.integers(len(near)))]
                written.append(hit.upper() if letter.isupper() else hit)
        else:
            written.append(letter)
        place += 1
    return "".join(written)


def paraphrased(text: str, templates: Sequence[str], rate: float, drawn: np.random.Generator) -> str:
    """Return `text` put into one of the public `templates`, as "Could you tell me: {text}", with chance `rate`.

    Args:
        text: what somebody wrote. It is put in as it is, braces included.
        templates: each has `{text}` in it once.
        rate: 0 returns the text.
        drawn: the row's own generator.

    Raises:
        Misconfigured: the rate is no probability, or a template has not `{text}` in it once.
    """
    _require_probability("paraphrase", rate)
    if wrong := [one for one in templates if one.count("{text}") != 1]:
        raise Misconfigured("A template of a paraphrase has {text} in it once", value=repr(wrong[0]))
    if rate == 0 or not templates or drawn.random() >= rate:
        return text
    before, after = templates[int(drawn.integers(len(templates)))].split("{text}")
    return before + text + after


def _require_probability(name: str, rate: float) -> None:
    if not 0 <= rate <= 1:
        raise Misconfigured("A variation is made with a probability", value=f"{name} = {rate:g}", limit="0 to 1")
