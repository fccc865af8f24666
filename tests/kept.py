"""What a whole platform has in its database, and on its bars' topics."""

import uuid

import psycopg2

from marketstream.bus.assigned import AssignedReader, reached
from marketstream.contracts.messages import decode_bar
from marketstream.contracts.topics import bars_topic


def bars_in_database(platform, interval):
    columns = "symbol, open, high, low, close, volume, vwap, trade_count"
    times = ", ".join(f"(extract(epoch from {name}) * 1000000)::bigint" for name in ("start_time", "last_event_time"))
    rows = query(platform, f"select {columns}, {times} from aggregated_data where interval = %s", interval)  # noqa: S608  # constants
    names = [*columns.split(", "), "start_us", "last_event_time_us"]
    return {(row[0], row[-2]): dict(zip(names, row, strict=True)) for row in rows}


def query(platform, sql, *parameters):
    options = platform.settings.postgres
    with (
        psycopg2.connect(
            host=options.host,
            port=options.port,
            dbname=options.database,
            user=options.reader,
            password=options.reader_password.get_secret_value(),
            options=f"-c search_path={options.schema_name}",
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def finals_on_topics(platform):
    """Every final message, in the order of its partition."""
    settings = platform.settings
    reader = AssignedReader(settings.kafka.bootstrap_servers, f"look-{uuid.uuid4().hex}")
    reader.open({bars_topic(interval): 0 for interval in settings.intervals}, {})
    ends, found = reader.ask_ends(), []
    while (until := ends.positions()) is None or not reached(reader.positions, until):
        found += [message.value for message in reader.poll(10_000, 0.05) if b'"final":true' in message.value]
    reader.close()
    return list(map(decode_bar, found))
