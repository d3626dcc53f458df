"""Data Docs: Great Expectations' own pages, made self-contained. They hold private values: trusted zone only.

As shipped, the pages load scripts, styles and images from six hosts. A page with private values should call nobody, so
all of that is cut, a small style sheet takes its place, and a content security policy forbids the rest.
"""

from __future__ import annotations

import copy
import html
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core.files import atomic_path
from components.quality.check import Checked

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_FOREIGN = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<title>[^<]*</title>"
    r'|<footer\b.*?</footer>|<div class="card mb-3">\s*<div class="card-header p-2">\s*<strong>Actions</strong>.*?'
    r'(?=<div class="card d-md-block)',
    re.DOTALL,
)

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem; }
body > nav { border-bottom: 1px solid var(--line); height: auto !important; margin-bottom: 1rem; }
ol.breadcrumb, ul.nav { list-style: none; margin: 0; padding: 0; }
ol.breadcrumb li { display: inline; }
ol.breadcrumb li + li::before { content: " / "; }
body > .container-fluid > .row { display: flex; gap: 2rem; }
body > .container-fluid > .row > :first-child { flex: 0 0 12rem; }
body > .container-fluid > .row > :last-child { flex: 1; min-width: 0; }
.sticky { position: sticky; top: 1rem; }
h4, h5, h6 { font-size: 1rem; margin: .3rem 0; }
.alert-secondary { background: var(--soft); border-radius: .3rem; padding: .4rem .8rem; }
.alert-danger, .alert-warning { border-left: .25rem solid #c33; padding-left: .8rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top; }
.badge { background: var(--soft); border-radius: .25rem; font-family: ui-monospace, monospace; padding: 0 .3rem; }
.collapse { display: block; font-size: .85em; opacity: .8; }
a[data-toggle="collapse"], #section-1-content-block-3 { display: none; }
.fas { font-style: normal; font-weight: bold; }
.fa-check-circle::before { content: "✓"; color: #2a8a3e; }
.fa-times::before { content: "✗"; color: #c33; }
.fa-exclamation-triangle::before { content: "!"; color: #c33; }
.cooltip .top { display: none; }
pre { overflow-x: auto; white-space: pre-wrap; }
"""


def write(checks: Sequence[Checked], folder: Path) -> Path:
    """Write a page for each check and an index to `folder`, instead of an earlier run's, and return the index."""
    with atomic_path(folder) as part:
        part.mkdir()
        for checked in checks:
            (part / f"{checked.suite.name}.html").write_text(_page(checked), encoding="utf-8")
        (part / "index.html").write_text(_index(checks), encoding="utf-8")
    return folder / "index.html"


def _page(checked: Checked) -> str:
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    result = copy.copy(checked.result)
    result.results = [copy.copy(each) for each in result.results]
    for each in result.results:
        each.result = _shown(each.result)
    content = ValidationResultsPageRenderer().render(result)
    text = _FOREIGN.sub("", DefaultJinjaPageView().render(content))
    text = re.sub(r'href="(\.\./)+index\.html"', 'href="index.html"', text)
    text = re.sub(r'<a href="(?:\.\./)+expectations/[^"]*"\s*>(.*?)</a>', r"\1", text)
    text = text.replace("<head>", f"<head>{_head(f'Data check: {checked.suite.name}')}", 1)
    text = text.replace("</head>", f"<style>{_STYLE}</style></head>", 1)  # last, so that it wins over the shipped one
    return text.replace("<body>", f"<body>{_verdict(checked)}", 1)


def _verdict(checked: Checked) -> str:
    aside = Counter(reason for reason in checked.reasons.to_pylist() if reason is not None)
    refused = [(expected, f"found {outcome.found}, limit {outcome.limit}") for expected, outcome in checked.broken]
    quarantined = [
        (expected, f"{aside[expected.name]:,} of {len(checked.reasons):,} rows go to quarantine")
        for expected in checked.suite.expectations
        if expected.name in aside
    ]
    lines = "".join(
        f"<li><strong>{html.escape(expected.name)}</strong>: {html.escape(fact)}. {html.escape(expected.reason)}</li>"
        for expected, fact in refused + quarantined
    )
    return f"<h4>{'The table is refused' if refused else 'The table passed'}</h4><ul>{lines}</ul>"


def _shown(value: Any) -> Any:
    """Return `value` for the renderer, which does not escape what people typed and asks even pd.NA for its truth."""
    import pandas as pd

    if isinstance(value, dict):
        return {key: _shown(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    if isinstance(value, str):
        return html.escape(value)
    return None if value is pd.NA else value


def _index(checks: Sequence[Checked]) -> str:
    rows = "".join(
        f'<tr><td><i class="fas fa-{"check-circle" if checked.record.passed else "times"}"></i></td>'
        f'<td><a href="{checked.suite.name}.html">{html.escape(checked.suite.name)}</a></td>'
        f"<td>{len(checked.reasons):,}</td><td>{len(checked.reasons) - checked.reasons.null_count:,}</td>"
        f"<td>{html.escape(', '.join(checked.record.failed)) or '–'}</td>"
        f"<td>{html.escape(', '.join(checked.left_out)) or '–'}</td>"
        f"<td>{html.escape(checked.suite.note)}</td></tr>"
        for checked in checks
    )
    names = ("", "Suite", "Rows", "To quarantine", "Not held", "Left out in this run", "Note")
    header = "".join(f"<th>{name}</th>" for name in names)
    return (
        f'<!DOCTYPE html><html lang="en"><head>{_head("Data checks")}<style>{_STYLE}</style></head><body>'
        f"<h1>Data checks</h1><p>Private: these pages show rows and exact counts.</p>"
        f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _head(title: str) -> str:
    return (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title>"
    )
