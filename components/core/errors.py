"""Errors named by what the caller does about them: fix, retry, or accept the verdict.

Each message is one sentence with the value found, the limit it met and the next step. Exit codes follow the class,
so that a shell script can tell a verdict from an outage without reading text.
"""

from __future__ import annotations


class JaliError(Exception):
    """Base of every error that Jali raises on purpose.

    Args:
        what: what happened, as the start of a sentence.
        value: what was found.
        limit: what would have been accepted.
        next_step: what the reader does now.
    """

    exit_code = 1

    def __init__(self, what: str, *, value: object = None, limit: object = None, next_step: str = "") -> None:
        self.what, self.value, self.limit, self.next_step = what, value, limit, next_step
        super().__init__(what, value, limit, next_step)

    def __str__(self) -> str:
        facts = [f"found {self.value}"] if self.value is not None else []
        facts += [f"limit {self.limit}"] if self.limit is not None else []
        sentence = self.what + (f" ({', '.join(facts)})" if facts else "") + "."
        return f"{sentence} {self.next_step}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.value, self.limit, self.next_step)


def _rebuild(kind: type[JaliError], what: str, value: object, limit: object, next_step: str) -> JaliError:
    return kind(what, value=value, limit=limit, next_step=next_step)


class Misconfigured(JaliError):
    """Fix the configuration: the message names the key and the allowed values."""

    exit_code = 78  # EX_CONFIG


class Unavailable(JaliError):
    """Retry later: something outside did not answer. The only error that flows retry."""

    exit_code = 75  # EX_TEMPFAIL


class Refused(JaliError):
    """A verdict: retrying the same thing gives the same answer."""

    exit_code = 20


class ContractBroken(Refused):
    """The data, a record or a file is not what was agreed."""

    exit_code = 21


class GateNotMet(Refused):
    """A candidate did not pass a gate."""

    exit_code = 22


class BudgetExhausted(Refused):
    """A release does not fit into what is left of a privacy account."""

    exit_code = 23


class ApprovalInvalid(Refused):
    """A promotion lacks a valid approval by a second person."""

    exit_code = 24


class Unanswerable(Refused):
    """A served version does not know what a request names.

    Args:
        what, value, limit, next_step: as in every error; none of them quotes the request, which is private.
        field: the part of the request that it is about.
    """

    exit_code = 25

    def __init__(
        self, what: str, *, value: object = None, limit: object = None, next_step: str = "", field: str = ""
    ) -> None:
        super().__init__(what, value=value, limit=limit, next_step=next_step)
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        rebuilt = (type(self), self.what, self.value, self.limit, self.next_step)
        return _rebuild, rebuilt, {"field": self.field}
