"""The statement as one static page: no script, nothing from a network, and readable on paper."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from components.core.records import SPLITS
from components.privacy.statement_document import AccountState, VersionStatement
from components.privacy.statement_figures import at_most, small
from components.privacy.statement_parts import Part
from components.privacy.statement_words import parts, subtitle, title

_PAGE = Path(__file__).with_name("statement_page.html")
_COLOURS = ("#1f5f8b", "#b7791f", "#2f7d4f", "#7b4ea3", "#a03e5c", "#3d8f93", "#7a6a53", "#56616b")
_OVER_TIME = "Over time"


def as_html(document: VersionStatement) -> str:
    """Return the page: the promise first, then every part, and how each block's budget burned down where known."""
    first, *others = parts(document)
    return Template(_PAGE.read_text()).substitute(
        title=escape(title(document)),
        subtitle=escape(subtitle(document)),
        promise="".join(f"<p>{escape(sentence)}</p>" for sentence in first.sentences),
        epsilon=at_most(document.privacy.epsilon),
        delta=small(document.privacy.delta),
        parts="\n".join(_part(part, _burn(document) if part.title == _OVER_TIME else "") for part in others),
    )


def _part(part: Part, more: str) -> str:
    sentences = f"<p>{escape(' '.join(part.sentences))}</p>" if part.sentences else ""
    points = "".join(f"<li>{escape(point)}</li>" for point in part.points)
    listed = f"<ul>{points}</ul>" if points else ""
    return f"<section><h2>{escape(part.title)}</h2>{sentences}{listed}{_table(part)}{more}</section>"


def _table(part: Part) -> str:
    if not part.rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in part.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in part.rows)
    kind = "wide" if len(part.header) > 2 else "figures" if part.header[0] == "ε" else "pairs"
    return f'<table class="{kind}">{f"<thead><tr>{head}</tr></thead>" if any(part.header) else ""}{rows}</table>'


def _burn(document: VersionStatement) -> str:
    """Return one bar an account: who took which share of it, and what is left."""
    if document.ledger is None or not document.ledger.accounts:
        return ""
    accounts = sorted(document.ledger.accounts, key=lambda one: (SPLITS.index(one.split), one.block))
    users = sorted({(use.service, use.mechanism) for account in accounts for use in account.by})
    colours = {user: _COLOURS[place % len(_COLOURS)] for place, user in enumerate(users)}
    bars = "".join(_bar(account, colours) for account in accounts)
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(mechanism)} of {escape(service)}</span>'
        for (service, mechanism), colour in colours.items()
    )
    caption = (
        "What is gone of each account, and for what. A bar is the whole account, in shares of the filter's budget: "
        "equal releases take equal parts of it, which ε does not show."
    )
    return (
        f'<figure><figcaption>{caption}</figcaption><div class="burn">{bars}</div>'
        f'<p class="key">{key}<span><i></i>left</span></p></figure>'
    )


def _bar(account: AccountState, colours: dict[tuple[str, str], str]) -> str:
    taken = "".join(
        f'<i style="width:{100 * use.share:.3f}%;background:{colours[use.service, use.mechanism]}" '
        f'title="{escape(use.mechanism)} of {escape(use.service)}: {use.share:.1%}"></i>'
        for use in account.by
    )
    name = f"{account.block}, {account.split}"
    spent = f"ε {account.spent + account.held:.2g} of {account.cap.epsilon:g}, {1 - account.used:.0%} left"
    return f'<span>{escape(name)}</span><div class="bar">{taken}</div><span>{spent}</span>'
