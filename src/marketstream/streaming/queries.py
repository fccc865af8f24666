"""Every streaming query of the platform, for those who look at it from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from marketstream.settings import Settings
from marketstream.streaming import archive_job, indicators_job, job
from marketstream.streaming.checkpoints import CheckpointStore, QueryShape


@dataclass(frozen=True, slots=True)
class KnownQuery:
    """A query, without starting it.

    Attributes:
        checkpoints: Where its checkpoints are.
        shape: What these settings want its checkpoint to be made for; asks the broker.
    """

    checkpoints: Callable[[Settings], CheckpointStore]
    shape: Callable[[Settings], QueryShape]


QUERIES: Mapping[str, KnownQuery] = {
    job.QUERY: KnownQuery(job.bars_checkpoints, job.bars_shape),
    indicators_job.QUERY: KnownQuery(indicators_job.indicators_checkpoints, indicators_job.indicators_shape),
    archive_job.QUERY: KnownQuery(archive_job.archive_checkpoints, archive_job.archive_shape),
}
