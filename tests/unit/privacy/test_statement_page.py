import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from components.core.records import PrivacyStatement
from components.privacy.accounting import gaussian_mu
from components.privacy.statement import JOINT, NOT_COVERED, TRUSTED_ZONE, statement
from components.privacy.statement_figures import at_most, small, surest
from components.privacy.statement_page import as_html
from components.privacy.statement_parts import promise
from components.privacy.statement_words import as_markdown, parts

from .stated import AUDIT, FACTS, document


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[|\\#*-]", " ", text).split())


@pytest.mark.parametrize("drawn", [as_markdown, lambda one: _Text(as_html(one)).text], ids=["text", "page"])
def test_it_says_everything_that_is_promised_and_everything_that_is_not(drawn) -> None:
    of = document()
    stated, shown = of.privacy, _plain(drawn(of))
    figures = [f"{figure:.4f}" for figure in stated.accountants.values()]
    digests = [stated.ledger, of.statement, of.model, *(one.release for one in stated.charged)]
    for said in (
        *(stated.unit, stated.neighbours, at_most(stated.epsilon), "10⁻⁶", "2000Q4, 2001Q1"),
        *(stated.lifetime.split(":")[0], stated.mechanism, "max_grad_norm", "300, each on 4.00% of the users"),
        *(JOINT, TRUSTED_ZONE, *NOT_COVERED, *figures, *digests),
        *("0.900", "1.200", "0.400", "99.9% confidence", "ceiling", "508 of 1000"),
        *("approved by ben", "3 November 2026", "2 attempts at releases", "has spent ε = 6.5"),
    ):
        assert _plain(said) in shown, said
    for one in stated.charged:
        assert _plain(f"{one.noise_multiplier:.4g}") in shown
        assert _plain(f"{one.epsilon:.3g}") in shown


def test_the_page_asks_nothing_of_a_network_runs_nothing_and_quotes_what_it_is_given() -> None:
    page = as_html(document())
    read = _Text(page)
    assert {tag for tag, _ in read.tags} & {"script", "iframe", "object", "form", "img"} == set()
    addresses = [attrs.get(name) for _, attrs in read.tags for name in ("src", "href") if attrs.get(name)]
    assert addresses == ["data:,"]
    assert not re.search(r"url\(|@import|https?:", page)
    assert "orders <2026>" in read.text
    assert "<script>" in read.text


def test_the_page_shows_how_each_account_burned_down() -> None:
    read = _Text(as_html(document()))
    widths = [
        float(found) for _, attrs in read.tags for found in re.findall(r"width:([\d.]+)%", attrs.get("style") or "")
    ]
    assert widths == [30.0, 10.0] * 4
    assert "2000Q4, train" in read.text
    assert "60% left" in read.text
    assert "burn" not in {attrs.get("class") for _, attrs in _Text(as_html(document(ledger=None))).tags}


def test_without_its_ledger_a_statement_says_that_it_is_not_at_hand() -> None:
    assert "The ledger is not at hand here" in as_markdown(document(ledger=None))


def test_a_refuted_claim_cannot_be_overlooked() -> None:
    bad = statement(**FACTS, audit=AUDIT.model_copy(update={"epsilon_lower_bound": 1.9}))
    assert "THE CLAIM IS REFUTED" in as_markdown(document(privacy=bad))
    quiet = statement(**FACTS, audit=AUDIT.model_copy(update={"destroyed_by_noise": False}))
    assert "NOT destroyed" in as_markdown(document(privacy=quiet))


@pytest.mark.parametrize(("epsilon", "grade"), [(0.8, "strong"), (3.0, "moderate"), (12.0, "weak")])
def test_the_promise_is_graded_and_pictured(epsilon: float, grade: str) -> None:
    text = " ".join(promise(document().privacy.model_copy(update={"epsilon": epsilon})).sentences)
    assert f"{grade} promise" in text
    if epsilon == 3.0:
        assert "at most 20.09 times what it would be" in text
        assert "up to 98% afterwards" in text


@given(st.floats(0.05, 12), st.floats(-9, -4).map(lambda power: 10**power))
def test_no_gaussian_makes_anyone_surer_than_told_more_often_than_told(epsilon: float, delta: float) -> None:
    mu = gaussian_mu(epsilon, delta)
    told = surest(epsilon)
    loss = math.log(told / (1 - told))
    assert norm.sf((loss - mu**2 / 2) / mu) <= 2 * delta


def test_an_older_statement_has_every_part_too() -> None:
    fields = {
        name: value for name, value in statement(**FACTS).model_dump().items() if name not in PrivacyStatement._LATER
    }
    old = document(privacy=PrivacyStatement.model_validate(fields), ledger=None)
    assert [part.title for part in parts(old)] == [part.title for part in parts(document())]
    assert "its digests are" not in as_html(document())
    assert "older than the list of its releases" in as_html(old)


@given(st.floats(1e-9, 1e9))
def test_a_bound_is_never_told_smaller_than_it_is(figure: float) -> None:
    assert figure * (1 - 1e-9) <= float(at_most(figure)) <= figure * 1.002


@pytest.mark.parametrize(("figure", "told"), [(1e-5, "10⁻⁵"), (3.14e-6, "3.1 × 10⁻⁶"), (0.5, "5 × 10⁻¹")])
def test_a_small_probability_is_told_as_people_write_it(figure: float, told: str) -> None:
    assert small(figure) == told
