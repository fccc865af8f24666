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


def indicators_in_database(platform, interval):
    """Final or not, and values; by (symbol, start in µs)."""
    start = "(extract(epoch from start_time) * 1000000)::bigint"
    sql = f'select symbol, {start}, final, "values" from technical_indicators where interval = %s'  # noqa: S608  # constants
    rows = query(platform, sql, interval)
    return {(symbol, start_us): (final, values) for symbol, start_us, final, values in rows}


def indicators_over_rest(platform, interval, symbols):
    """The same by way of the API."""
    said = {}
    for symbol in symbols:
        response = platform.get(f"/api/v1/indicators/{symbol}", window=interval, limit=10_000)
        assert response.status_code == 200, response.text
        said |= {(symbol, one["start_us"]): (one["final"], one["values"]) for one in response.json()["indicators"]}
    return said


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
    topics = map(bars_topic, platform.settings.intervals)
    return [decode_bar(value) for value in messages_on(platform, *topics) if b'"final":true' in value]


def messages_on(platform, *topics):
    """The value of every message on these topics, in the order of its partition."""
    reader = AssignedReader(platform.settings.kafka.bootstrap_servers, f"look-{uuid.uuid4().hex}")
    reader.open(dict.fromkeys(topics, 0), {})
    ends = reader.ask_ends()
    while (until := ends.positions()) is None or not reached(reader.positions, until):
        yield from (message.value for message in reader.poll(10_000, 0.05))
    reader.close()
