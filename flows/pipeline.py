"""The whole way, from a source to a promotion request. A person goes on from there."""

from prefect import flow

from flows.dataset import SourceName, dataset
from flows.promote import promote
from flows.tasks import verdicts
from flows.train import Author, Epsilon, Service, train


@flow(name="pipeline", description="Dataset, training and promotion request, one after the other.")
@verdicts
def pipeline(
    source: SourceName = None, service: Service = "recommend", epsilon: Epsilon = None, author: Author = "scheduler"
) -> str | None:
    """Return the digest of the promotion request, or None where the version is champion already."""
    dataset(source)
    version = train(service, source, epsilon, author)
    return promote(service, version, author)
