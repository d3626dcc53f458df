"""The whole way, from a source to a promotion request. A person goes on from there."""

from prefect import flow

from flows.dataset import dataset
from flows.names import run_name
from flows.promote import promote
from flows.tasks import verdicts
from flows.train import Epsilon, train


@flow(
    name="pipeline",
    flow_run_name=run_name,
    description="Dataset, training and promotion request, one after the other.",
)
@verdicts
def pipeline(
    source: str | None = None, service: str = "recommend", epsilon: Epsilon | None = None, author: str = "scheduler"
) -> str | None:
    """Return the digest of the promotion request, or None where the version is champion already.

    Args:
        source: A source of params.yaml; None takes the one that it chooses.
        service: A service of params.yaml.
        epsilon: What the training may spend, ε for each user; None takes that of params.yaml.
        author: Whose key on this machine signs the requests; that person may not approve them.
    """
    dataset(source)
    version = train(service, source, epsilon, author)
    return promote(service, version, author)
