"""How far a query is behind its topics, in messages.

Reads: the topics' ends, or the figures that the Kafka consumers within this JVM keep of themselves.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from math import isnan
from typing import Any, Protocol

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # pyspark brings it, without types
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from marketstream.bus.inspector import KafkaInspector, Position
from marketstream.settings import Settings
from marketstream.streaming.trigger import Trigger

_FETCHES = "kafka.consumer:type=consumer-fetch-manager-metrics,topic=*,partition=*,*"
_POLLS = "kafka.consumer:type=consumer-metrics,client-id="


class SourceLag(Protocol):
    """Tells how many messages a query has not taken yet."""

    def of(self, query: StreamingQuery) -> Mapping[Position, int]:
        """Messages by topic and partition; empty where it can't be told now.

        Raises:
            BusError: The broker is away.
        """


class CommittedLag:
    """A micro-batch query's: the topics' ends now, less the end of its newest batch.

    Args:
        inspector: Knows the topics' ends.
    """

    def __init__(self, inspector: KafkaInspector) -> None:
        self._inspector = inspector

    def of(self, query: StreamingQuery) -> Mapping[Position, int]:
        """See `SourceLag`."""
        progress = query.lastProgress
        if progress is None:
            return {}
        return behind(self._inspector, processed_positions(source["endOffset"] for source in progress["sources"]))


class FetchedLag:
    """A real-time query's, whose offsets Spark tells only when it commits: what its consumers say of themselves.

    Each is right as of its newest fetch, give or take the messages that it has fetched and Spark has not taken yet.
    They live in this JVM only where the master is a local one.

    Args:
        spark: The session that the query runs in.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._beans = _Beans(spark)

    def of(self, query: StreamingQuery) -> Mapping[Position, int]:
        """See `SourceLag`."""
        newest: dict[Position, tuple[float, int]] = {}
        for name in self._beans.names(_FETCHES):
            with suppress(Py4JJavaError):  # one that was closed a moment ago
                lag = self._beans.number(name, "records-lag")
                position = (str(name.getKeyProperty("topic")), int(name.getKeyProperty("partition")))
                idle = self._idle_seconds(name.getKeyProperty("client-id"))
                if not isnan(lag) and (position not in newest or idle < newest[position][0]):  # before its first fetch
                    newest[position] = (idle, int(lag))
        return {position: lag for position, (_, lag) in newest.items()}

    def _idle_seconds(self, client: str) -> float:
        """Spark keeps consumers that it no longer asks for minutes, with the lag that they had."""
        return self._beans.number(self._beans.name(f"{_POLLS}{client}"), "last-poll-seconds-ago")


class _Beans:
    """The JVM's management beans, through its reflection: their server's class is one that py4j may not call."""

    def __init__(self, spark: SparkSession) -> None:
        context: Any = spark.sparkContext
        self._gateway, jvm = context._gateway, context._jvm
        # Once: for each part of a class's name py4j has the JVM look through all its jars.
        self._class, self._object = jvm.java.lang.Class, jvm.java.lang.Object
        self._name = jvm.javax.management.ObjectName
        self._server = jvm.java.lang.management.ManagementFactory.getPlatformMBeanServer()
        self._query = self._method("queryNames", "javax.management.ObjectName", "javax.management.QueryExp")
        self._get = self._method("getAttribute", "javax.management.ObjectName", "java.lang.String")

    def name(self, text: str) -> Any:
        return self._name(text)

    def names(self, pattern: str) -> Any:
        return self._call(self._query, self.name(pattern), None)

    def number(self, name: Any, attribute: str) -> float:
        return float(self._call(self._get, name, attribute))

    def _method(self, name: str, *parameters: str) -> Any:
        types = self._gateway.new_array(self._class, len(parameters))
        for number, parameter in enumerate(parameters):
            types[number] = self._class.forName(parameter)
        return self._class.forName("javax.management.MBeanServerConnection").getMethod(name, types)

    def _call(self, method: Any, *arguments: Any) -> Any:
        passed = self._gateway.new_array(self._object, len(arguments))
        for number, argument in enumerate(arguments):
            if argument is not None:  # as the array's elements are from the beginning
                passed[number] = argument
        return method.invoke(self._server, passed)


class UnknownLag:
    """Of a query in real-time mode on other machines: only its bars tell (`marketstream_bars_behind_seconds`)."""

    def of(self, query: StreamingQuery) -> Mapping[Position, int]:
        """Always empty."""
        return {}


def source_lag(settings: Settings, trigger: Trigger, spark: SparkSession) -> SourceLag:
    """What can tell a query's lag, by its trigger and its master."""
    if not trigger.realtime:
        return CommittedLag(KafkaInspector(settings.kafka.bootstrap_servers))
    return FetchedLag(spark) if str(spark.sparkContext.master).startswith("local") else UnknownLag()


def processed_positions(offsets: Any) -> dict[Position, int]:
    """The next offset of each topic and partition, of Spark's own notation `{"topic": {"0": 12}}`, as text or parsed.

    Args:
        offsets: One for each source; None for one that was not read.
    """
    positions: dict[Position, int] = {}
    for each in offsets:
        by_topic = json.loads(each) if isinstance(each, str) else each
        for topic, partitions in (by_topic or {}).items():
            positions |= {(topic, int(partition)): offset for partition, offset in partitions.items()}
    return positions


def behind(inspector: KafkaInspector, positions: Mapping[Position, int]) -> dict[Position, int]:
    """Messages from each position to its topic's end.

    Raises:
        BusError: The broker is away.
    """
    ends = inspector.ends({topic for topic, _ in positions})
    return {position: max(0, ends.get(position, offset) - offset) for position, offset in positions.items()}
