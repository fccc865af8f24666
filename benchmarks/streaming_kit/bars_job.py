"""The platform's own bars job, which tells each batch's progress on its standard output, one JSON object a line.

The same code as `marketstream run`'s job from the session to the checkpoint; only what it tells is more. Ends when its
standard input does. `--conf name=value` changes Spark's configuration, to see what it is worth.
"""

import argparse
import json
import sys
import threading
from dataclasses import replace
from datetime import datetime

from pyspark.sql import SparkSession
from pyspark.sql.streaming.listener import (
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

from marketstream.settings import load_settings
from marketstream.streaming.checkpoints import CheckpointStore
from marketstream.streaming.job import BarsJob
from marketstream.streaming.resources import bars_resources
from marketstream.streaming.session import open_session


def say(**what: object) -> None:
    """Tells the benchmark."""
    print(json.dumps(what), flush=True)


class Progress(StreamingQueryListener):
    """Tells what each batch did."""

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802  # Spark's name
        """Nothing to tell."""

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802  # Spark's name
        """Tells a batch that had rows."""
        batch = json.loads(event.progress.json)
        if batch["numInputRows"]:
            state = batch["stateOperators"][0]
            say(
                batch=batch["batchId"],
                began=datetime.fromisoformat(batch["timestamp"]).timestamp(),
                rows=batch["numInputRows"],
                durations_ms=batch["durationMs"],
                state_rows=state["numRowsTotal"],
                state_bytes=state["memoryUsedBytes"],
            )

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802  # Spark's name
        """Tells why, where it failed."""
        if event.exception:
            say(failed=event.exception)


def main() -> None:
    """Runs the job until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conf", action="append", default=[], help="name=value")
    options = parser.parse_args()
    settings = load_settings()
    job = BarsJob.prepare(settings)
    resources = replace(bars_resources(settings), slots=job.slots)
    conf = {**resources.conf, **dict(each.split("=", 1) for each in options.conf)}
    spark: SparkSession = open_session(settings, replace(resources, conf=conf), name="marketstream-bars")
    spark.streams.addListener(Progress())
    store = CheckpointStore(settings.data_dir / "checkpoints" / "bars", reach_back_seconds=1_000)
    query = job.start(spark, store.open(job.shape))
    say(ready=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while query.isActive and not ended.wait(0.5):
        pass
    query.stop()
    spark.stop()


if __name__ == "__main__":
    main()
