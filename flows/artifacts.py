"""What a flow run shows in the Prefect UI: a summary, the gates, and links to MLflow and Data Docs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.core import settings
from components.core.records import Dataset
from components.stages import gate
from components.stages.run import Run
from components.stages.tracking import Logged

if TYPE_CHECKING:
    from components.registry.approvals import PromotionRequest
    from components.registry.champions import Champion


def of_dataset(run: Run, dataset: Dataset) -> None:
    """Show what the dataset is, without a figure about its rows, and where its Data Docs lie."""
    docs = "\n".join(f"- `{page}`" for page in sorted(run.reports.glob("*/index.html")))
    create_markdown_artifact(
        key=f"dataset-{dataset.source}",
        description=f"Blocks {', '.join(dataset.blocks)}",
        markdown=f"""## Dataset {dataset.source}

| | |
| --- | --- |
| keyed digest | `{dataset.digest_keyed}` |
| window | {dataset.start or "from the first event"} to {dataset.end or "the last event"} |
| blocks | {", ".join(dataset.blocks)} |
| public | {dataset.public} |

Data Docs and quarantine, in the trusted zone of the machine that ran this:

{docs}
""",
    )


def of_training(run: Run, service: str, logged: Logged) -> None:
    """Show the summary, the gates as a table, and the link to the training's runs in MLflow."""
    verdict = gate.verdict_of(run, service)
    outcome = f"{service}/{verdict.candidate}: {'passed' if verdict.passed else 'refused'}"
    create_markdown_artifact(
        key=f"training-{service}", description=f"Summary of {outcome}", markdown=gate.summary_of(run, service)
    )
    create_table_artifact(
        key=f"gates-{service}",
        table=[{**one.model_dump(), "evidence": one.evidence[:12]} for one in verdict.gates],
        description=f"Gates of {outcome}",
    )
    create_link_artifact(
        key=f"mlflow-{service}",
        description="The training in MLflow, with its candidates and ceilings",
        link=mlflow_page(logged.training),
        link_text=f"Compare the candidates of {service}",
    )


def of_request(request: PromotionRequest) -> None:
    """Show who asks for what, and the command of the second person."""
    create_markdown_artifact(
        key=f"promotion-{request.service}",
        description=f"Version {request.version} waits for a second person",
        markdown=f"""## {request.requested_by} asks for version {request.version} of {request.service}

Replaces champion {request.previous_champion or "none"}. Evidence `{request.evidence}`, model `{request.model}`.

Somebody other than {request.author} decides:

    jali promote approve {request.service} --by NAME --reason "..."
    jali promote reject {request.service} --by NAME --reason "..."
""",
    )


def of_champion(champion: Champion) -> None:
    """Show which version is champion now, and by whose approval."""
    create_markdown_artifact(
        key=f"champion-{champion.service}",
        description=f"Version {champion.version}, approved by {champion.approver}",
        markdown=f"""## Version {champion.version} is champion of {champion.service}

Author {champion.author}, approved by {champion.approver}: {champion.decision.reason}

ε = {champion.statement.epsilon:.3g}, δ = {champion.statement.delta:.1g}, {champion.statement.mechanism}
""",
    )


def mlflow_page(run_id: str) -> str:
    """Return the page of a run in the local MLflow UI."""
    return f"http://127.0.0.1:{settings.load().mlflow_port}/#/runs/{run_id}"
