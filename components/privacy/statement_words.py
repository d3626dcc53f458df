"""A privacy statement in plain sentences: what the page, the terminal and the model card all say."""

from __future__ import annotations

from components.privacy.statement_document import VersionStatement
from components.privacy.statement_parts import (
    Part,
    accounted,
    audited,
    charged,
    checked,
    over_time,
    parameters,
    promise,
    protected,
    shown,
    trusted,
)

__all__ = ["Part", "as_markdown", "in_markdown", "parts", "subtitle", "title"]


def parts(document: VersionStatement) -> list[Part]:
    """Return every part of a statement, in the order in which a reader needs them."""
    stated = document.privacy
    return [
        promise(stated),
        protected(document),
        charged(stated),
        parameters(document),
        accounted(stated),
        over_time(stated, document.ledger),
        audited(stated),
        shown(stated),
        trusted(stated),
        Part("What is not covered", points=stated.not_covered),
        checked(document),
    ]


def as_markdown(document: VersionStatement) -> str:
    """Return the whole statement as Markdown, for the terminal and whoever files it as text."""
    return f"# {title(document)}\n\n{subtitle(document)}\n\n" + "\n\n".join(map(in_markdown, parts(document))) + "\n"


def in_markdown(part: Part) -> str:
    """Return one part as a section."""
    lines = [f"## {part.title}", *(["", " ".join(part.sentences)] if part.sentences else [])]
    if part.points:
        lines += ["", *(f"- {point}" for point in part.points)]
    if part.rows:
        lines += [""] + [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (part.header, ["---"] * len(part.header), *part.rows)
        ]
    return "\n".join(lines)


def title(document: VersionStatement) -> str:
    """Return what the statement is of."""
    return f"Privacy statement: {document.service}, version {document.version}"


def subtitle(document: VersionStatement) -> str:
    """Return where the version stands, in one sentence."""
    standing, model = document.standing, f"Model {document.model[:16]}"
    made_by = f", trained at the request of {standing.author}" if standing else ""
    if standing is None or standing.champion_since is None:
        return f"{model}{made_by}; not proven here to be the champion."
    since = f"{standing.champion_since:%d %B %Y}".lstrip("0")
    return f"{model}{made_by}, approved by {standing.approver}, champion since {since}."
