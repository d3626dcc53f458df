"""What a flow run shows in the Prefect UI: a summary, the gates, and links to MLflow and Data Docs."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.core.records import Dataset
from components.registry import tracking
from components.stages import gate
from components.stages.run import Run
from components.stages.tracking import Logged

if TYPE_CHECKING:
    from components.registry.approvals import PromotionRequest
    from components.registry.champions import Champion


def of_dataset(run: Run, dataset: Dataset) -> None:
    """Show what the dataset is, without a figure about its rows."""
    create_markdown_artifact(
        key=_key("dataset", dataset.source),
        description=f"Blocks {', '.join(dataset.blocks)}",
        markdown=f"""## Dataset {dataset.source}

| | |
| --- | --- |
| keyed digest | `{dataset.digest_keyed}` |
| window | {dataset.start or "from the first event"} to {dataset.end or "the last event"} |
| blocks | {", ".join(dataset.blocks)} |
| public | {dataset.public} |
""",
    )


def of_reports(run: Run) -> None:
    """Show where Data Docs and quarantine lie, also where a check has refused the table."""
    pages = "\n".join(
        f"- [{page.parent.name}]({page.as_uri()}) `{page}`" for page in sorted(run.reports.glob("*/index.html"))
    )
    create_markdown_artifact(
        key=_key("data-docs", run.params.source),
        description="Data Docs, in the trusted zone",
        markdown=f"""## Data Docs of {run.params.source}

They lie on the machine that ran this, in the trusted zone; open them there.

{pages or "No check has run yet."}

Rows that were set aside: `{run.data / "raw" / "quarantine.parquet"}`, `{run.data / "checked" / "quarantine.parquet"}`
""",
    )


def of_budget(run: Run, service: str) -> None:
    """Show how the privacy budget burns down: the plot, and below it the accounts as a table.

    The plot is within the page: Prefect's own image artifact would print the picture's bytes as a link below it.
    """
    from components.evaluation.burndown import burn_down, burn_down_table, plot_burn_down

    ledger = run.ledger()
    accounts = ledger.accounts()
    with TemporaryDirectory() as scratch:
        picture, _ = plot_burn_down(burn_down(accounts, ledger.holds()), Path(scratch))
        within = b64encode(picture.read_bytes()).decode()
    create_markdown_artifact(
        key=_key("budget", service),
        description="What is left of each privacy account",
        markdown=f"""## Privacy budget after the training of {service}

![What is left of each account after every release](data:image/png;base64,{within})

{burn_down_table(accounts)}

Ledger `{ledger.genesis[:12]}`. Equal releases take equal steps down; ε is by the filter, at the cap's δ.
`jali ledger show` says by whom and for what, `jali ledger plan {service}` how many more trainings fit.
""",
    )


def of_training(run: Run, service: str, logged: Logged) -> None:
    """Show the summary, the gates as a table, and the link to the training's runs in MLflow."""
    verdict = gate.verdict_of(run, service)
    outcome = f"{service}/{verdict.candidate}: {'passed' if verdict.passed else 'refused'}"
    create_markdown_artifact(
        key=_key("training", service), description=f"Summary of {outcome}", markdown=gate.summary_of(run, service)
    )
    create_table_artifact(
        key=_key("gates", service),
        table=[
            {
                "gate": one.gate,
                "passed": one.passed,
                "value": one.value,
                "limit": one.limit,
                "evidence": one.evidence[:12],
            }
            for one in verdict.gates
        ],
        description=f"Gates of {outcome}",
    )
    create_link_artifact(
        key=_key("mlflow", service),
        description="Candidates and ceilings of the training, side by side in MLflow",
        link=tracking.comparison(run.settings, logged.training),
        link_text=f"Compare the candidates of {service}",
    )


def of_request(request: PromotionRequest) -> None:
    """Show who asks for what, and the command of the second person."""
    create_markdown_artifact(
        key=_key("promotion", request.service),
        description=f"Version {request.version} waits for a second person",
        markdown=f"""## {request.requested_by} asks for version {request.version} of {request.service}

Replaces champion {request.previous_champion or "none"}. Evidence `{request.evidence}`, model `{request.model}`.

Somebody other than {request.author} decides:

    jali promote approve {request.service} {request.version} --by NAME --reason "..."
    jali promote reject {request.service} {request.version} --by NAME --reason "..."
""",
    )


def of_champion(champion: Champion) -> None:
    """Show which version is champion now, and by whose approval."""
    create_markdown_artifact(
        key=_key("champion", champion.service),
        description=f"Version {champion.version}, approved by {champion.approver}",
        markdown=f"""## Version {champion.version} is champion of {champion.service}

Author {champion.author}, approved by {champion.approver}: {champion.decision.reason}

ε = {champion.statement.epsilon:.3g}, δ = {champion.statement.delta:.1g}, {champion.statement.mechanism}
""",
    )


def _key(*parts: str) -> str:
    """Return an artifact's key: Prefect takes small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
