"""`params.yaml` as one frozen tree. An unknown key is refused with the keys that are allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, field_validator, model_validator

from components.core.errors import Misconfigured
from components.core.files import write_bytes
from components.core.trees import merged as merged
from components.core.trees import parse as parse

Block = Literal["day", "week", "month", "quarter", "year"]
EventKind = Literal["view", "search", "click", "cart", "purchase", "return", "review", "impression", "ad_click"]


class Section(BaseModel):
    """A part of the tree: frozen, unknown keys refused, and no number that is infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Window(Section):
    """The half-open time window `[start, end)` that a dataset reads; None is unbounded on that side."""

    start: datetime | None = None
    end: datetime | None = None

    @field_validator("start", "end")
    @classmethod
    def _in_utc(cls, bound: datetime | None) -> datetime | None:
        if bound is None:
            return None
        return bound.replace(tzinfo=UTC) if bound.tzinfo is None else bound.astimezone(UTC)

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"start must be before end, and {self.start} is not before {self.end}")
        return self


class Source(Section):
    """One place that events and items come from.

    `kind` picks the reader; the other keys are the reader's own and checked by it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: Literal["files", "sql", "shop", "ta-feng", "movielens-100k", "complete-journey"]
    public: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the reader."""
        return dict(self.model_extra or {})


class Collect(Section):
    """What becomes of a source's free text before it is stored."""

    redact: Literal["private", "all", "none"] = "private"
    """From which sources' messages, reviews and queries addresses, numbers and introduced names are taken out: those of
    people, all of them, or none."""


class Prepare(Section):
    """How raw events become bounded interactions."""

    weights: dict[EventKind, NonNegativeFloat] = {"purchase": 1.0, "review": 1.0}
    """An interaction's weight by its event; an event that is not named weighs nothing."""
    minimum_rating: float | None = None
    """A rated event below it is not an interaction."""
    max_items_per_user: int = Field(100, ge=1)
    """Distinct items that one user may contribute, chosen at random by a keyed hash."""
    max_events_per_user: int = Field(500, ge=1)
    """Single events that services may read of one user: the latest."""
    max_messages_per_user: int = Field(20, ge=1)
    """Messages that services may read of one user: the latest."""


class Split(Section):
    """Shares of users, by a keyed hash of the user; they sum to 1."""

    train: float = Field(0.8, gt=0)
    validation: float = Field(0.1, gt=0)
    test: float = Field(0.1, gt=0)

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {self.train + self.validation + self.test:g}")
        return self


class Cap(Section):
    """The most that one (block, split) account may ever spend: (epsilon, delta)-DP over all releases."""

    epsilon: float = Field(10.0, gt=0)
    delta: float = Field(1e-6, gt=0, lt=1)


class Privacy(Section):
    """What the ledger enforces."""

    block: Block = "quarter"
    cap: Cap = Cap()
    count_noise: float = Field(15.0, gt=0)
    """σ of the DP count of a split's users, in users. It is made once for each dataset, whoever needs it."""
    lifetime_cap: Cap | None = None
    """None is stated as "unbounded" on every version."""


class Training(Section):
    """What one training spends, all its candidates and its counts included.

    `epsilon` is the whole of the train account's charge; `evaluation_epsilon` that of validation and of test.
    """

    epsilon: float = Field(3.0, gt=0)
    evaluation_epsilon: float = Field(2.0, gt=0)
    """Never more than `epsilon` is used, so that what a version states holds for the users of every split."""
    max_delta: float = Field(1e-5, gt=0, lt=1)
    """δ is 1/(10 n⁻) by the lower bound of the noised count, and never above this."""
    ceiling: bool = True
    """Train without privacy too, for public sources only."""
    audit: bool = True
    """Canary users take part in every training, and the audit says what they prove."""
    canaries: int = Field(1000, ge=100, le=1_000_000)
    """Users that are nobody's, for whom coins are flipped; about half of them take part."""
    trials: dict[str, dict[str, list[dict[str, Any]]]] = {}
    """Tuning, by service and candidate: other values of the service's parameters, each a candidate that is charged."""

    @property
    def epsilon_of_evaluation(self) -> float:
        """What validation, and what test, may spend."""
        return min(self.epsilon, self.evaluation_epsilon)


class PerformanceFlags(Section):
    """How a private training is computed. By contract nothing here can change what is guaranteed."""

    accelerator: str = "auto"
    """Lightning's name of the device; "auto" takes a GPU where there is one."""
    devices: int = Field(1, ge=1)
    """Devices of this machine that train together, each in a process of its own."""
    grad_sample_mode: Literal["book_keeping", "ghost", "hooks"] = "book_keeping"
    """How clipped sums are formed: by one backward pass to the layers' outputs; "ghost" (Opacus) by two, with norms
    from activations and signals; "hooks" (Opacus) by every user's gradient. All give the same sum."""
    physical_batch_size: int = Field(768, ge=1)
    """Users that are in memory at once; a larger Poisson batch is summed in even parts. On a CPU parts of some hundred
    are faster than one; a GPU likes more."""


class Tuning(Section):
    """A search for a service's parameters (`jali tune`): free on a public source, charged as a whole on people's rows.

    It spends as much as a training does: `training.epsilon`, and `training.evaluation_epsilon` for the scores.
    """

    trials: float = Field(10.0, ge=1, le=1000)
    """Trials on a public source; on people's rows the number is drawn at random and secret, and this is its mean."""
    law: Literal["poisson", "negative_binomial"] = "poisson"
    """Of the number of trials on people's rows."""
    shape: float = Field(1.0, gt=-1, le=100)
    """η of the negative binomial law: 1 is the geometric, 0 the logarithmic one."""
    grids: dict[str, dict[str, dict[str, list[Any]]]] = {}
    """What is tried, by service, candidate and key (`gram.spread: [0.5, 1]`), instead of what the service declares."""


class Gates(Section):
    """What a version must meet; every verdict names the value, the limit and the evidence."""

    epsilon: float = Field(3.0, gt=0)
    delta: float = Field(1e-5, gt=0)
    gain_over_floor: float = 0.0
    """Lower bound of the paired ndcg@100 difference to the floor that must be exceeded."""
    regression_tolerance: float = Field(0.01, ge=0)
    """How far the lower bound of the paired ndcg@100 difference to the champion may lie below zero."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    canaries: int = Field(1000, ge=0)
    """Fewest canaries that must have tried to refute the claim; at 0 a training without an audit may pass."""
    bundle_megabytes: float = Field(256.0, gt=0)
    latency_milliseconds: float = Field(50.0, gt=0)


class SmallerBundles(Section):
    """Whose bundles are made smaller once trained. A form goes on that is so many times smaller or faster, and little
    slower, and loses no larger part of the first metric on simulated people (by the 95% bound)."""

    services: tuple[str, ...] = ()
    times_smaller: float = Field(3.0, ge=1)
    times_faster: float = Field(2.0, ge=1)
    most_slower: float = Field(1.25, ge=1)
    most_loss: float = Field(0.005, ge=0, lt=1)


class Promotion(Section):
    """Who may promote, and how long an approval may be used."""

    approval_days: int = Field(14, ge=1)


class Params(Section):
    """The whole of `params.yaml`."""

    source: str
    sources: dict[str, Source]
    window: Window = Window()
    collect: Collect = Collect()
    prepare: Prepare = Prepare()
    split: Split = Split()
    privacy: Privacy = Privacy()
    training: Training = Training()
    tuning: Tuning = Tuning()
    performance: PerformanceFlags = PerformanceFlags()
    smaller: SmallerBundles = SmallerBundles()
    gates: Gates = Gates()
    promotion: Promotion = Promotion()
    services: dict[str, dict[str, Any]]
    """Each service by name, with its own parameters, which the service checks."""

    @model_validator(mode="after")
    def _source_exists(self) -> Self:
        if self.source not in self.sources:
            raise ValueError(f"source {self.source!r} is not one of {sorted(self.sources)}")
        return self

    @property
    def chosen_source(self) -> Source:
        """The source that `source` names."""
        return self.sources[self.source]

    def but(self, **changes: Any) -> Params:
        """Return these params with top-level keys replaced, dicts merged, and everything checked again."""
        return _validate(merged(self.model_dump(mode="json"), changes), "the overrides")

    def write(self, path: Path) -> Path:
        """Write the tree to `path` atomically."""
        return write_bytes(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False).encode())


def load(path: Path) -> Params:
    """Read `path`.

    Raises:
        Misconfigured: it is missing, is not YAML, or has an unknown key or a value out of range.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise Misconfigured(f"{path} does not exist", next_step="Run from the checkout, or set JALI_ROOT.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise Misconfigured(f"{path} is not YAML", value=said, next_step="Mend the line that it names.") from error
    return _validate(tree, str(path))


def _validate(tree: Any, where: str) -> Params:
    return parse(Params, tree, where)  # type: ignore[no-any-return]
