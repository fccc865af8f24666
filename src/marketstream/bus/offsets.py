"""Which of a partition's offsets to ask an `AdminClient` for."""

from confluent_kafka.admin._listoffsets import OffsetSpec  # re-exported by .admin, but not to type checkers

__all__ = ["EARLIEST", "LATEST", "NEWEST", "OffsetSpec"]

# confluent-kafka leaves these factories untyped.
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # see above
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # see above
NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]  # see above
