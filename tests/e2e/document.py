"""The files that a page of the documentation shows, so that the page is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

_SHOWN = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files(page: Path) -> dict[str, str]:
    """Return each file that `page` shows whole, by its path: a line with the path alone, then the block."""
    return dict(_SHOWN.findall(page.read_text()))


def parameters(page: Path) -> str:
    """Return what `page` adds to params.yaml."""
    [block] = _YAML.findall(page.read_text())
    return str(block)
