"""The progress bar."""

from __future__ import annotations

import pytest

from components.core.progress import bar, no_progress


def test_nothing_is_drawn_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with bar("count users") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capfd.readouterr() == ("", "")


def test_a_forced_bar_draws_title_and_steps_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with bar("count users", force=True) as progress:
        progress(1, 3)
    out, err = capfd.readouterr()
    assert out == ""
    assert "count users" in err
    assert "1/3" in err


def test_no_progress_takes_what_a_bar_takes() -> None:
    no_progress(1, None)
    no_progress(2, 5)
