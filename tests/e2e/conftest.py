"""Checkouts with everything up, each for the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .checkout import Checkout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout in which `jali up` was run and two people have keys; whatever runs there is stopped at the end."""
    checkout = Checkout.make(tmp_path_factory.mktemp("machine"))
    try:
        checkout.jali("up")
        for name in ("ana", "ben"):
            checkout.jali("keys", "new", name, "--add")
        yield checkout
    finally:
        checkout.run("down")
