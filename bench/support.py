"""How well the shop's support understands messages, against its floor, its ceiling, and what a shop would use instead.

python bench/support.py intents --data PATH    # real customers' intents (Bitext), one user a distinct message
python bench/support.py shop --users 20000     # the simulated shop, and answers to 200 questions of other wordings

Each prints figures of ε = 3 beside the same head without privacy, and TF-IDF with logistic regression, which has none.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine  # beside this script

from components.data.shop import ShopOptions, happen, world
from components.privacy import accounting, mechanisms
from components.services.support import SERVICE, ceiling, head, prior
from components.services.support.answering import Answerer
from components.services.support.bundle import Bundle
from components.services.support.data import Catalogue, Rows, made
from components.services.support.params import INTENTS, Augmentation, SupportParams
from components.services.support.policies import read_policies

_COUNT_NOISE = 15
_TEST = 0.2


def intents_of(data: Path) -> tuple[SupportParams, list[tuple[int, str, str]]]:
    """Return parameters with the set's intents, described by their own names, and (user, text, intent) of each distinct
    message, compared without regard to case: a user has one.
    """
    table = pq.read_table(data / "bitext_20k.parquet", columns=["utterance", "intent"])
    told = dict[str, tuple[str, str]]()
    for text, intent in zip(table["utterance"].to_pylist(), table["intent"].to_pylist(), strict=True):
        told.setdefault(text.strip().casefold(), (text.strip(), intent))
    names = sorted({intent for _, intent in told.values()})
    params = SupportParams(intents={name: name.replace("_", " ") for name in names})
    return params, [(user, *said) for user, said in enumerate(told.values())]


def messages_of(users: int) -> tuple[SupportParams, list[tuple[int, str, str]]]:
    """Return default parameters, and (user, text, intent) of what the simulated shop's users write."""
    options = ShopOptions(users=users)
    table = pa.concat_tables([some.messages for some in happen(options, world(options))])
    number = {user: place for place, user in enumerate(table["user"].unique().to_pylist())}
    columns = (table[name].to_pylist() for name in ("user", "text", "intent"))
    return SupportParams(), [(number[user], text, intent) for user, text, intent in zip(*columns, strict=True)]


def split(said: list[tuple[int, str, str]], params: SupportParams, seed: int) -> tuple[Rows, Rows]:
    """Return train and test rows, of different users."""
    users = np.random.default_rng(seed).permutation(max(user for user, _, _ in said) + 1)
    tested = set(users[: round(_TEST * len(users))].tolist())
    return (
        _rows([one for one in said if one[0] not in tested], params),
        _rows([one for one in said if one[0] in tested], params),
    )


def _rows(said: list[tuple[int, str, str]], params: SupportParams) -> Rows:
    place = {name: number for number, name in enumerate(params.names)}
    said = sorted(said, key=lambda one: one[0])
    owner = {user: number for number, user in enumerate(dict.fromkeys(user for user, _, _ in said))}
    owners = [owner[user] for user, _, _ in said]
    intents = [place.get(intent, len(place) - 1) for _, _, intent in said]
    return made(len(owner), owners, [text for _, text, _ in said], intents, params)


def questions() -> list[tuple[str, dict[str, Any], list[str]]]:
    """Return (message, order, headings of which one answers it: none where a person must) of the made set."""
    made_up = json.loads((Path(__file__).parent / "support_questions.json").read_text())
    return [
        (
            text.format(order=order["number"], product=order["product"]),
            {name: value for name, value in order.items() if name != "product"},
            headings,
        )
        for text, headings in made_up["wordings"]
        for order in made_up["orders"]
    ]


def answered(bundle: Bundle) -> dict[str, float]:
    """Return shares of the made questions: answered rightly (the passage that answers it, word by word, and the order's
    own facts), rightly or needlessly given to a person, and answered wrongly.
    """
    answerer, found = Answerer(bundle), Counter[str]()
    texts = {one.heading: one for one in bundle.passages}
    for message, order, headings in questions():
        answer = SERVICE.predict(answerer, SERVICE.request.model_validate({"message": message, "order": order}))
        if answer.hand_over:
            found["needlessly given to a person" if headings else "rightly given to a person"] += 1
            continue
        passage = texts[answer.said[0].section]
        facts = [order[fact] for fact in passage.facts if fact in order]
        word_by_word = [one.text for one in answer.said] == [passage.text, *facts]
        found["answered rightly" if word_by_word and passage.heading in headings else "answered wrongly"] += 1
    return {name: count / found.total() for name, count in sorted(found.items())}


def private(train: Rows, test: Rows, catalogue: Catalogue, params: SupportParams, epsilon: float) -> dict[str, Any]:
    """Return the figures of floor and head at ε; a training's μ is divided as the service divides it."""
    delta = min(1e-5, 0.1 / len(train))
    mu = float(np.sqrt(accounting.gaussian_mu(epsilon, delta) ** 2 - _COUNT_NOISE**-2))
    shares = SERVICE.shares(mu, len(train), None)
    first, second = (mu * float(np.sqrt(shares[name])) for name in ("prior", "head"))
    counts = mechanisms.noised_sum(prior.parts(train).sum(axis=0), 1.0, 1 / first)
    floor = prior.bundle_of(catalogue, params, counts, 1 / first)
    plan = head.Head().plan(mu=second, delta=delta, population=len(train), params=params, floor=None)
    augmentation = params.augmentation
    learnt, _ = head.train(
        train, floor, plan.params.head, plan=plan.privacy, augmentation=augmentation, intend=lambda steps: None
    )
    told = {"floor": ceiling.told(floor, test), "head": ceiling.told(learnt, test)}
    figures = told | {"noise": plan.privacy.noise_multiplier}
    return figures | ({"questions": answered(learnt)} if params.intents == INTENTS else {})


def instead(train: Rows, test: Rows) -> dict[str, float]:
    """Return the mean over users of the accuracy of TF-IDF and logistic regression, without any privacy."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300)
    )
    model.fit(train.texts, train.intents)
    return {"accuracy": float(test.means(model.predict(test.texts) == test.intents).mean())}


def compared(params: SupportParams, said: list[tuple[int, str, str]], epsilon: float, runs: int) -> dict[str, Any]:
    """Return all figures of some messages; private ones of each run."""
    train, test = split(said, params, seed=1)
    began = time.process_time()
    encoded = len(train.vectors) + len(test.vectors)
    each = (time.process_time() - began) / encoded
    catalogue = Catalogue(pa.table({"item": ["none"], "title": ["None"]}), read_policies(None), dict(params.intents))
    return {
        "users": len(train) + len(test),
        "messages": encoded,
        "encode_cpu_ms": each * 1e3,
        "epsilon": epsilon,
        "private": [private(train, test, catalogue, params, epsilon) for _ in range(runs)],
        "without_privacy": ceiling.ceiling(train, test, catalogue, params),
        "tfidf_logistic_regression": instead(train, test),
    }


def main() -> None:
    """Run one part and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["intents", "shop"])
    parser.add_argument("--data", type=Path, help="the folder with bitext_20k.parquet")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--copies", type=int, default=0, help="variations of each message that are learnt from")
    chosen = parser.parse_args()
    if chosen.part == "intents" and chosen.data is None:
        parser.error("intents needs --data")
    params, said = intents_of(chosen.data) if chosen.part == "intents" else messages_of(chosen.users)
    params = params.model_copy(update={"augmentation": Augmentation(copies=chosen.copies)})
    figures = compared(params, said, chosen.epsilon, chosen.runs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"part": chosen.part, **figures, "peak_mb": round(memory), "machine": machine()}))


if __name__ == "__main__":
    main()
