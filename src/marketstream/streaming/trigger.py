"""The trigger setting: real-time mode, or micro-batches of a given interval."""

import re
from dataclasses import dataclass
from typing import Self

from pyspark.sql.streaming.readwriter import DataStreamWriter

from marketstream.domain.errors import ConfigurationError

REALTIME = "realtime"
_INTERVAL = re.compile(r"(\d+) (milliseconds?|seconds?|minutes?)")
_SECONDS = {"millisecond": 0.001, "second": 1.0, "minute": 60.0}


@dataclass(frozen=True, slots=True)
class Trigger:
    """When the query processes what has arrived.

    Attributes:
        realtime: Each row at once (Spark's real-time mode), else in micro-batches.
        interval: The checkpoint interval in real-time mode, the batch interval otherwise.
    """

    realtime: bool
    interval: str

    @classmethod
    def micro_batches(cls, text: str, setting: str = "STREAMING__INDICATORS_TRIGGER") -> Self:
        """Reads an interval for a query that can't run in real-time mode.

        Args:
            text: What the setting says.
            setting: Its name.

        Raises:
            ConfigurationError: The text is no interval.
        """
        if not _INTERVAL.fullmatch(text):
            raise ConfigurationError(
                f"MARKETSTREAM_{setting}={text!r}: say a micro-batch interval, such as `1 second`; "
                "Spark's real-time mode runs no Python"
            )
        return cls(realtime=False, interval=text)

    @classmethod
    def parse(cls, text: str, *, realtime_checkpoint_seconds: int) -> Self:
        """Reads `realtime`, or an interval such as `1 second` or `0 seconds`.

        Raises:
            ConfigurationError: The text is neither.
        """
        if text == REALTIME:
            return cls(realtime=True, interval=f"{realtime_checkpoint_seconds} seconds")
        if not _INTERVAL.fullmatch(text):
            raise ConfigurationError(
                f"MARKETSTREAM_STREAMING__TRIGGER={text!r}: say `realtime`, or a micro-batch interval: `1 second`"
            )
        return cls(realtime=False, interval=text)

    @property
    def mode(self) -> str:
        """`realtime` or `microbatch`; the two can't read each other's state."""
        return REALTIME if self.realtime else "microbatch"

    @property
    def seconds(self) -> float:
        """The interval's length."""
        match = _INTERVAL.fullmatch(self.interval)
        assert match is not None, self.interval  # noqa: S101  # both constructors saw to it
        return int(match[1]) * _SECONDS[match[2].removesuffix("s")]

    def apply(self, writer: DataStreamWriter) -> DataStreamWriter:
        """Sets this trigger on a query."""
        if self.realtime:
            real_time: DataStreamWriter = writer.trigger(realTime=self.interval)  # type: ignore[call-overload]  # newer than its own annotations
            return real_time
        return writer.trigger(processingTime=self.interval)
