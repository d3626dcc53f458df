"""On made sentences: whoever is named, called or written to here does not exist."""

from __future__ import annotations

import pyarrow as pa
import pytest

from components.language.redact import redact, redacted

FOUND = {
    "write to jane.doe+shop@mail.example.co.uk please": "write to [email] please",
    "my mail is x_y@example.org.": "my mail is [email].",
    "card 4111 1111 1111 1111 was declined": "card [card] was declined",
    "4111-1111-1111-1111": "[card]",
    "my amex 378282246310005 too": "my amex [card] too",
    "refund to DE89 3704 0044 0532 0130 00 please": "refund to [account] please",
    "GB82WEST12345698765432": "[account]",
    "call +44 20 7946 0958 after six": "call [phone] after six",
    "call me: +49 (0)30 901820": "call me: [phone]",
    "0049 30 901820": "[phone]",
    "my number is 030/901820-11": "my number is [phone]",
    "ring (555) 010-9999 or 555-010-9999": "ring [phone] or [phone]",
    "mobil 0171 2345678.": "mobil [phone].",
    "I live at 221b Baker Street now": "I live at [address] now",
    "send it to 12 Old Mill Lane, 90210": "send it to [address]",
    "an die Hauptstraße 12a, 10115 Berlin bitte": "an die [address] bitte",
    "Lindenallee 7": "[address]",
    "postcode SW1A 1AA": "postcode [address]",
    "ich wohne in 80331 München.": "ich wohne in [address].",
    "Hi, my name is Jane Doe and the box was open": "Hi, my name is [name] and the box was open",
    "this is Mary-Ann O'Neill, where is it?": "this is [name], where is it?",
    "Ich heiße Jürgen Müller.": "Ich heiße [name].",
    "Ihr Kollege Herr Schmidt war freundlich": "Ihr Kollege Herr [name] war freundlich",
    "it was promised by Mrs. Brown": "it was promised by Mrs. [name]",
    "where is it?\nKind regards,\nJane Doe": "where is it?\nKind regards,\n[name]",
    "danke\nViele Grüße\nJürgen": "danke\nViele Grüße\n[name]",
    "It is broken. Best regards, Jane Doe": "It is broken. Best regards, [name]",
}
KEPT = [
    "where is my order JS-3-1201?",
    "order #3-1201, no. 12-99999",
    "I ordered on 2024-03-01, on 01.03.2024 and on 01/03/2024",
    "it cost 1,299.00 or 12.99 for 24 pieces",
    "card 4111 1111 1111 1112 has no such checksum",
    "the code 1234567890123 has no card's checksum",
    "during 3 days, ordering 2 packs",
    "I am Angry about this",
    "I'm waiting since Monday",
    "can I bring the Pebble Mild Rye Bread back?",
    "this is the third time",
    "Thanks!",
    "Kind regards",
    "[name] [card]",
    "",
]


@pytest.mark.parametrize("text", FOUND)
def test_what_says_who_wrote_it_is_taken_out(text: str) -> None:
    assert redacted(text) == FOUND[text]


@pytest.mark.parametrize("text", KEPT)
def test_what_an_answer_needs_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", FOUND)
def test_done_twice_it_is_done_once(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize("letter", ["1 ", "A", "Ab ", "a@", "+1", "(0", "\n", "Regards\n", "é", "٣"])
def test_a_text_made_to_take_long_is_read_in_time_that_grows_with_its_length(letter: str) -> None:
    assert len(redacted(letter * 20_000)) <= 40_000


def test_a_column_keeps_its_nulls_and_its_order() -> None:
    column = pa.array(["mail a@example.org", None, "hello", "mail a@example.org"])
    assert redact(column).to_pylist() == ["mail [email]", None, "hello", "mail [email]"]


def test_an_empty_column_stays_one() -> None:
    assert redact(pa.nulls(2, pa.string())).to_pylist() == [None, None]
    assert redact(pa.array([], pa.string())).type == pa.string()
