"""What a person may turn about support: `services.support` in params.yaml.

The defaults were found on simulated data and on what is public, so that they cost no ε.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from components.core.params import Section

OUT_OF_SCOPE = "out_of_scope"
"""The intent of a message that is about nothing of the list, the last of every list."""

INTENTS = {
    "order_status": "Where is my order? Has my parcel been shipped, and when will it arrive?",
    "return_item": "I want to return or exchange an item and need a return label.",
    "refund": "When do I get my refund? I am waiting for my money back.",
    "cancel_order": "Please cancel my order, I do not want it any more.",
    "change_address": "I need to change the delivery address of my order.",
    "invoice": "Please send me an invoice or a receipt.",
    "product_question": "I have a question about a product: what is in it, how is it made and used?",
    "availability": "Is this product in stock? When will it be available again?",
    "complaint": "I want to complain: the product arrived damaged or wrong, the service was bad.",
    "payment_problem": "My payment failed, my card was declined or I was charged twice.",
    "delivery_time": "How long does delivery take and what does it cost? On which day do you deliver?",
    "loyalty": "How many bonus points do I have in the loyalty programme, and how do I use them?",
}
"""What customers write about, with a sentence that says what is meant."""


TEMPLATES = (
    "Hello, {text}",
    "Hi there! {text} Thank you.",
    "Good morning. {text} Kind regards",
    "{text} Thanks in advance!",
    "{text} Please let me know.",
    "Could you help me with this: {text}",
    "Sorry to bother you, but I have a question. {text}",
    "I could not find it on your website. {text}",
)
"""What people write around what they want, whatever it is."""


class HeadParams(Section):
    """The linear head and its DP-SGD."""

    trust: float = Field(12.0, ge=0)
    """Logits before the first step of a cosine of 1 with the sentence that describes an intent; 0 starts from nothing
    but how often each intent is written about."""
    learning_rate: float = Field(5.0, gt=0)
    """With a thousand users, or without privacy; under noise it grows with the square root of their number."""
    steps: int = Field(30, ge=1)
    ceiling_steps: int = Field(400, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    expected_batch_size: int = Field(2048, ge=1)
    max_grad_norm: float = Field(1.0, gt=0)


class Augmentation(Section):
    """How messages are varied while the head is trained, within the row (`components.language.variations`): a user's
    loss is the mean over the own messages and their variations."""

    copies: int = Field(0, ge=0, le=8)
    """Variations of each message that are learnt from beside it; 0 learns from what was written alone."""
    paraphrase: float = Field(0.5, ge=0, le=1)
    """Chance with which a variation is put into one of the public templates."""
    typos: float = Field(0.03, ge=0, le=1)
    """Chance of a typing error at each letter of a variation."""
    templates: tuple[str, ...] = TEMPLATES
    """Public; each has {text} in it once."""

    @field_validator("templates")
    @classmethod
    def _have_a_place_for_the_text(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in templates if one.count("{text}") != 1]:
            raise ValueError(f"a template has {{text}} in it once: {wrong[0]!r}")
        return templates


class SupportParams(Section):
    """The whole of `services.support`."""

    intents: dict[str, str] = Field(default_factory=lambda: dict(INTENTS), min_length=1, max_length=64)
    """The shop's intents, each with a public sentence that says what is meant. A message of any other intent is out of
    scope."""
    policies: Path | None = None
    """A folder of the shop's policy texts (*.md); the texts that lie beside the service, where null."""
    max_messages_per_user: int = Field(8, ge=1, le=100)
    """Latest messages of a user that are learnt from; the loss is their mean."""
    confidence: float = Field(0.5, ge=0, le=1)
    """Probability of an intent below which a message goes to a person."""
    order_number: str = r"(?:[A-Za-z]{2}-|#|no\. ?)(\d{1,6}-\d{1,9})"
    """How order numbers are written (a regular expression); its group, or else all of it, is the number."""
    head: HeadParams = HeadParams()
    augmentation: Augmentation = Augmentation()

    @property
    def names(self) -> tuple[str, ...]:
        """All intents by name, out of scope last."""
        return (*self.intents, OUT_OF_SCOPE)

    @field_validator("order_number")
    @classmethod
    def _can_be_read(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"order_number is no regular expression: {error}") from error
        if groups > 1:
            raise ValueError("order_number has more than one group")
        return pattern

    @model_validator(mode="after")
    def _out_of_scope_is_the_rest(self) -> Self:
        if OUT_OF_SCOPE in self.intents:
            raise ValueError(f"{OUT_OF_SCOPE} is what no intent fits, and no intent itself")
        return self


GRID: dict[str, dict[str, list[float]]] = {
    "head": {
        "head.trust": [6.0, 12.0, 24.0],
        "head.learning_rate": [2.5, 5.0, 10.0],
        "head.max_grad_norm": [0.5, 1.0, 2.0],
    },
}
"""What a search tries: the defaults, with values around them. Intents and messages a user shape the rows, which all
trials share."""
