"""Whether low-rank adapters on the encoder's last layer are worth their noise, at equal ε, beside the head alone.

python bench/support_adapters.py shop --users 6000
python bench/support_adapters.py intents --data PATH --most 6000

LoRA (Hu et al. 2022): each of `--layers` linear maps of the last layer, W, becomes W + s·B·A of rank `--rank`; before
the first step A is drawn, public, and B is 0. A, B and the head are trained by one DP-SGD on the project's own engine,
under the plan and the schedule of the head. The layers below are public functions of one message, computed once for
each. Both are trained from the same floor on the same split and the same tokens. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytorch_lightning as lightning
import torch
from machine import machine  # beside this script
from scipy import stats
from support import intents_of, messages_of, split
from torch import Tensor, nn
from torch.nn import functional

from components.language.encoder import SIZE, encoder
from components.privacy import accounting, mechanisms
from components.services.support import ceiling, head, prior
from components.services.support.bundle import Bundle
from components.services.support.data import Catalogue, Rows
from components.services.support.params import SupportParams
from components.services.support.policies import read_policies
from components.training.fit import fit

_HEADS, _LAST, _EPSILON = 12, 5, 1e-12
_COUNT_NOISE = 15
MAPS = {
    "qv": ("query", "value"),
    "all": ("query", "key", "value", "attended", "wide", "narrow"),
}
_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "narrow_norm": "output.LayerNorm",
}


class LastLayer(nn.Module):
    """The encoder's last layer, mean and norm, frozen, with adapters on some of its linear maps."""

    def __init__(self, maps: tuple[str, ...] = (), rank: int = 4, scale: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        weights = encoder()._weights
        self.scale, self.maps = scale, maps
        for name, stored in _NAMES.items():
            weight, bias = (weights[f"encoder.layer.{_LAST}.{stored}.{part}"] for part in ("weight", "bias"))
            layer = nn.LayerNorm(SIZE, eps=_EPSILON) if name.endswith("norm") else nn.Linear(*weight.shape[::-1])
            layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            self.add_module(name, layer.requires_grad_(False))
        drawn = torch.Generator().manual_seed(seed)
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for name in maps:
            high, wide = getattr(self, name).weight.shape
            self.down[name], self.up[name] = nn.Linear(wide, rank, bias=False), nn.Linear(rank, high, bias=False)
            nn.init.zeros_(self.up[name].weight)
            with torch.no_grad():
                self.down[name].weight.copy_(torch.randn(rank, wide, generator=drawn) / np.sqrt(wide))

    def forward(self, state: Tensor, there: Tensor) -> Tensor:
        """Return `(rows, messages, SIZE)` of states `(rows, messages, tokens, SIZE)` and which tokens there are."""
        query, key, value = (self._heads(self._mapped(name, state)) for name in ("query", "key", "value"))
        odds = query @ key.mT / np.sqrt(SIZE // _HEADS)
        odds = odds.masked_fill(~there[:, :, None, None, :], -1e9).softmax(dim=-1)
        seen = (odds @ value).transpose(2, 3).flatten(3)
        state = self.attended_norm(state + self._mapped("attended", seen))
        state = self.narrow_norm(state + self._mapped("narrow", functional.gelu(self._mapped("wide", state))))
        state = (state * there[..., None]).sum(dim=2) / there.sum(dim=2, keepdim=True).clamp_min(1)
        return functional.normalize(state, dim=-1)

    def _mapped(self, name: str, state: Tensor) -> Tensor:
        mapped = getattr(self, name)(state)
        return mapped + self.scale * self.up[name](self.down[name](state)) if name in self.maps else mapped

    def _heads(self, state: Tensor) -> Tensor:
        return state.unflatten(-1, (_HEADS, SIZE // _HEADS)).transpose(2, 3)


class Adapted(lightning.LightningModule):
    """Adapters and head; a row holds states, which tokens there are, intent and 1 for each of its messages."""

    def __init__(self, last: LastLayer, weight: Tensor, bias: Tensor, tokens: int, rates: tuple[float, float]) -> None:
        super().__init__()
        self.last, self.tokens, self.rates = last, tokens, rates
        self.linear = nn.Linear(SIZE, len(bias))
        with torch.no_grad():
            self.linear.weight.copy_(weight)
            self.linear.bias.copy_(bias)

    @property
    def example_input_array(self) -> Tensor:
        """Made-up rows, on which the engine checks clipping."""
        return torch.randn(2, 2 * (self.tokens * (SIZE + 1) + 2), generator=torch.Generator().manual_seed(1)).abs()

    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss, `(rows,)`: the mean over its messages."""
        cells = rows.unflatten(1, (-1, self.tokens * (SIZE + 1) + 2))
        states, mask, intent, told = cells.split([self.tokens * SIZE, self.tokens, 1, 1], dim=2)
        there = (told[..., 0] > 0).to(rows.dtype)
        vectors = self.last(states.unflatten(2, (self.tokens, SIZE)), mask.detach() > 0)
        logits = torch.log_softmax(self.linear(vectors), dim=-1)
        loss = -logits.gather(-1, intent.detach().clamp(0, logits.shape[-1] - 1).long())[..., 0]
        return (loss * there).sum(dim=1) / there.sum(dim=1).clamp_min(1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum, adapters and head each at a rate of their own."""
        adapters = [*self.last.down.parameters(), *self.last.up.parameters()]
        groups = [{"params": self.linear.parameters(), "lr": self.rates[0]}]
        groups += [{"params": adapters, "lr": self.rates[1]}] if adapters else []
        return torch.optim.SGD(groups, momentum=0.9)


class States(torch.utils.data.Dataset[Tensor]):
    """What the last layer is given, of each distinct message once, in half precision; a row of it for each user.

    Tokens are cut to `most`, for time; the head beside is given messages that are cut alike.
    """

    def __init__(self, rows: Rows, most: int) -> None:
        model = encoder()
        texts = list(dict.fromkeys(rows.texts))
        tokens = [one.ids[:most] for one in model._tokenizer.encode_batch(texts)]
        self.rows, self.tokens, self.place = rows, max(map(len, tokens)), {text: n for n, text in enumerate(texts)}
        self.most = int(rows.sizes.max())
        self.lengths = np.array([len(ids) for ids in tokens])
        self.states = np.zeros((len(texts), self.tokens, SIZE), dtype=np.float16)
        for length in np.unique(self.lengths):
            places = np.flatnonzero(self.lengths == length)
            for some in np.array_split(places, -(-len(places) // 32)):
                state = model._embedded(np.array([tokens[place] for place in some]))
                for layer in range(_LAST):
                    state = model._layer(state, layer)
                self.states[some, :length] = state
        self.starts = np.searchsorted(rows.owners, np.arange(len(rows) + 1))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, user: int) -> Tensor:
        row = np.zeros((self.most, self.tokens * (SIZE + 1) + 2), dtype=np.float32)
        for turn, message in enumerate(range(self.starts[user], self.starts[user + 1])):
            place = self.place[self.rows.texts[message]]
            row[turn, : self.tokens * SIZE] = self.states[place].ravel()
            row[turn, self.tokens * SIZE :][: self.lengths[place]] = 1
            row[turn, -2:] = self.rows.intents[message], 1
        return torch.from_numpy(row.ravel())

    def encoded(self, last: LastLayer) -> np.ndarray:
        """Return the vectors of all messages of the rows, `(messages, SIZE)`."""
        found = []
        with torch.no_grad():
            for some in np.array_split(np.arange(len(self.states)), -(-len(self.states) // 64)):
                there = torch.from_numpy(np.arange(self.tokens) < self.lengths[some, None])
                found.append(last(torch.from_numpy(self.states[some].astype(np.float32))[:, None], there[:, None]))
        vectors = torch.cat(found)[:, 0].numpy()
        return vectors[[self.place[text] for text in self.rows.texts]]


def latest(rows: Rows, most: int) -> Rows:
    """Return the rows with the latest messages of each user."""
    kept = np.flatnonzero(np.searchsorted(rows.owners, rows.owners, side="right") - np.arange(len(rows.owners)) <= most)
    texts = tuple(rows.texts[place] for place in kept)
    return Rows(rows.users, rows.owners[kept], texts, rows.intents[kept], rows.names, most)


def away(rows: Rows) -> float:
    """Return by how much the last layer here differs from the encoder's, on whole messages: states are in half
    precision.
    """
    rows = latest(rows, 1)
    return float(np.abs(States(rows, 64).encoded(LastLayer()) - rows.vectors).max())


def moved(rows: Rows, vectors: np.ndarray) -> Rows:
    """Return the rows with other vectors of their messages."""
    known = dict(zip(rows.texts, vectors, strict=True))
    return Rows(rows.users, rows.owners, rows.texts, rows.intents, rows.names, rows.most, known)


def adapted(
    states: States, floor: Bundle, params: Any, plan: Any, chosen: argparse.Namespace
) -> tuple[LastLayer, Bundle]:
    """Return the trained last layer, and the bundle of the head on it."""
    last = LastLayer(MAPS[chosen.layers], chosen.rank, chosen.scale)
    weight, bias = (
        torch.from_numpy(head.start(floor, params)),
        torch.from_numpy(floor.arrays["bias"].astype(np.float32)),
    )
    rates = (params.learning_rate, params.learning_rate * chosen.rate)
    module = Adapted(last, weight, bias, states.tokens, rates)
    schedule = {} if plan else {"steps": chosen.ceiling_steps, "batch_size": params.expected_batch_size}
    fit(module, states, plan=plan, intend=(lambda steps: None) if plan else None, **schedule)
    learnt = {name: one.detach().numpy() for name, one in module.linear.state_dict().items()}
    return last, Bundle(floor.config.model_copy(update={"kind": "head"}), {**floor.arrays, **learnt}, floor.items, ())


def once(train: Rows, test: Rows, states: tuple[States, States], params: SupportParams, epsilon: float,
         chosen: argparse.Namespace) -> dict[str, float]:  # fmt: skip
    """Return the accuracy of both at ε (0: without privacy, the head with its own ceiling's steps)."""
    catalogue = Catalogue(pa.table({"item": ["none"], "title": ["None"]}), read_policies(None), dict(params.intents))
    if epsilon:
        delta = min(1e-5, 0.1 / len(train))
        mu = float(np.sqrt(accounting.gaussian_mu(epsilon, delta) ** 2 - _COUNT_NOISE**-2))
        first, second = mu * np.sqrt(0.05), mu * np.sqrt(0.95)
        counts = mechanisms.noised_sum(prior.parts(train).sum(axis=0), 1.0, 1 / first)
        floor = prior.bundle_of(catalogue, params, counts, 1 / first)
        plan = head.Head().plan(mu=float(second), delta=delta, population=len(train), params=params, floor=None)
        privacy, schedule = plan.privacy, plan.params.head
    else:
        floor = prior.bundle_of(catalogue, params, prior.parts(train).sum(axis=0), 0.0)
        privacy, schedule = None, params.head
    alone, _ = head.train(train, floor, schedule, plan=privacy, intend=(lambda steps: None) if privacy else None)
    last, with_adapters = adapted(states[0], floor, schedule, privacy, chosen)
    return {
        "head": ceiling.told(alone, test)["accuracy"],
        "adapters": ceiling.told(with_adapters, moved(test, states[1].encoded(last)))["accuracy"],
    }


def main() -> None:
    """Run and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["intents", "shop"])
    parser.add_argument("--data", type=Path, help="the folder with bitext_20k.parquet")
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--most", type=int, default=6000, help="messages of the real set that take part")
    parser.add_argument("--messages", type=int, default=2, help="latest ones of a user that are read")
    parser.add_argument("--tokens", type=int, default=32, help="first ones of a message that are read")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 3.0], help="0: without privacy")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--layers", choices=list(MAPS), default="qv")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate of adapters ÷ that of the head")
    parser.add_argument("--ceiling-steps", type=int, default=60)
    chosen = parser.parse_args()
    params, said = intents_of(chosen.data) if chosen.part == "intents" else messages_of(chosen.users)
    if chosen.part == "intents":
        kept = np.random.default_rng(1).permutation(len(said))[: chosen.most]
        said = [(user, *said[place][1:]) for user, place in enumerate(kept)]
    parts = split(said, params, seed=1)
    states = tuple(States(latest(rows, chosen.messages), chosen.tokens) for rows in parts)
    train, test = (moved(one.rows, one.encoded(LastLayer())) for one in states)  # the head reads the same tokens
    figures = dict[str, Any]()
    for epsilon in chosen.epsilons:
        runs = []
        for _ in range(chosen.runs if epsilon else 1):
            runs.append(once(train, test, states, params, epsilon, chosen))
            print(epsilon, runs[-1], flush=True)
        gains = np.array([run["adapters"] - run["head"] for run in runs])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else None
        spread = None if error is None else float(stats.t.ppf(0.975, len(gains) - 1) * error)
        figures[str(epsilon)] = {"runs": runs, "gain": float(gains.mean()), "half_width": spread}
        print(epsilon, figures[str(epsilon)], flush=True)
    size = {"train": len(train), "test": len(test), "tokens": states[0].tokens, "away": away(parts[1])}
    print(
        json.dumps({**{k: str(v) for k, v in vars(chosen).items()}, **size, "figures": figures, "machine": machine()})
    )


if __name__ == "__main__":
    main()
