"""Backfill as a process, from a replay server's REST API to a real Kafka and PostgreSQL, killed and resumed."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import orjson
import pytest

from marketstream.bootstrap import build_backfill
from marketstream.bus.publisher import KafkaPublisher
from marketstream.clock import SystemClock
from marketstream.contracts.messages import FeedEvent, FeedGap, decode_bar, encode
from marketstream.contracts.topics import FEED_EVENTS, PROVIDER_BARS, TICKS
from marketstream.domain.errors import ConfigurationError, Fault, ProviderError
from marketstream.domain.market import Tick
from marketstream.producers.backfill.request import BackfillRequest
from marketstream.settings import Settings
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.platform import eventually
from marketstream.testing.replay import FileSource, Pace, ReplayServer
from marketstream.testing.trades import RecordedTrades
from past import PastStand, past_stand
from stores import environment

pytestmark = pytest.mark.servers

START_MS = 1_700_000_000_000
COUNT = 25_000
WAIT_SECONDS = 90.0


@pytest.fixture
def stand(server_settings: Callable[..., Settings]) -> Iterator[PastStand]:
    with past_stand(server_settings) as made:
        yield made


@pytest.fixture
async def replay(stand: PastStand) -> AsyncIterator[ReplayServer]:
    """A server whose past has this test's symbols: trades 7 ms apart, some at the same time, numbered without holes."""
    first, second = stand.settings.symbols
    past = [*trades(first, COUNT), *trades(second, 1_000)]
    async with ReplayServer(FileSource(RecordedTrades.of(past[:1])), Pace(None)) as server:
        server.history.add(past)
        yield server


def trades(symbol: str, count: int) -> list[MarketTrade]:
    return [
        MarketTrade(
            symbol=symbol,
            price=100 + number % 50 / 100,
            size=float(1 + number % 7),
            event_time_us=(START_MS + number // 3 * 21) * 1_000,
            exchange="BINANCE",
            side="buy" if number % 2 else "sell",
            trade_id=str(number),
            sequence=number,
        )
        for number in range(1, count + 1)
    ]


class Runs:
    """Starts backfills of one request as processes."""

    def __init__(self, stand: PastStand, replay: ReplayServer, folder: Path) -> None:
        self.stand = stand
        self.folder = folder
        settings = {
            "DATA_DIR": str(folder),
            "BINANCE__REST_URL": replay.url_rest,
            "POSTGRES__WRITER_PASSWORD": stand.settings.postgres.writer_password.get_secret_value(),
            "POSTGRES__READER_PASSWORD": stand.settings.postgres.reader_password.get_secret_value(),
        }
        self.environment = environment(stand.settings) | {f"MARKETSTREAM_{key}": text for key, text in settings.items()}
        self.arguments = ["--provider", "binance", "--symbols", ",".join(stand.settings.symbols)]
        self.arguments += ["--start", str(START_MS), "--end", str(START_MS + 3_600_000)]

    def start(self, *more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "marketstream", "backfill", *self.arguments, *more]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    async def finish(self, process: "subprocess.Popen[str]", number: int | None = None) -> tuple[int, str]:
        """Signals it where asked to, and returns its exit code and what it said."""
        if number is not None:
            process.send_signal(number)
        said, _ = await asyncio.to_thread(process.communicate, timeout=WAIT_SECONDS)
        return process.returncode, said

    async def until_published(self, process: "subprocess.Popen[str]", size: int) -> None:
        """Returns as soon as there is more than this on `tick_data`; the process is in the middle then."""
        async with asyncio.timeout(WAIT_SECONDS):
            while await asyncio.to_thread(self.stand.size, TICKS) <= size:
                assert process.poll() is None, process.communicate()


def ids(ticks: list[Tick]) -> Counter[str]:
    return Counter(tick.trade_id for tick in ticks)


def each_once(count: int) -> Counter[str]:
    return Counter(str(number) for number in range(1, count + 1))


async def test_killed_interrupted_and_resumed_it_leaves_nothing_out_and_nothing_twice(
    stand: PastStand, replay: ReplayServer, tmp_path: Path
) -> None:
    first, second = stand.settings.symbols
    runs = Runs(stand, replay, tmp_path)
    there = [tick_of(trade) for trade in trades(first, COUNT)[100:200]]
    stand.put(*there)  # as if they had come live

    size = stand.size(TICKS)

    process = runs.start()
    await runs.until_published(process, size)
    assert (await runs.finish(process, signal.SIGKILL))[0] == -signal.SIGKILL
    assert 0 < stand.size(TICKS) - size < COUNT - len(there)

    runs.environment["MARKETSTREAM_BINANCE__WEIGHT_PER_MINUTE"] = "240"  # 6 pages at once, then one a second
    (state,) = (tmp_path / "backfill").glob("*.json")
    before = state.stat().st_mtime_ns
    process = runs.start()
    await asyncio.to_thread(changed, state, before)  # it is fetching once it has written its state
    code, said = await runs.finish(process, signal.SIGINT)
    assert code == 130
    assert "To go on from here: marketstream backfill --provider binance" in said
    assert len(stand.published(first)) < COUNT

    del runs.environment["MARKETSTREAM_BINANCE__WEIGHT_PER_MINUTE"]
    code, said = await runs.finish(runs.start())
    assert code == 0, said
    for symbol, count in ((first, COUNT), (second, 1_000)):
        assert ids(stand.published(symbol)) == each_once(count)
        assert sorted(map(numbers, stand.stored(symbol))) == sorted(
            (trade.event_time_us, trade.price, trade.size, trade.sequence) for trade in trades(symbol, count)
        )

    code, said = await runs.finish(runs.start("--restart"))
    assert code == 0
    assert f"0 trades published, {COUNT + 1_000:,} were there already" in said
    assert ids(stand.published(first)) == each_once(COUNT)


def changed(file: Path, since_ns: int) -> None:
    eventually(lambda: file.stat().st_mtime_ns != since_ns, within_seconds=60, what="state", every_seconds=0.01)


def tick_of(trade: MarketTrade) -> Tick:
    return Tick(
        symbol=trade.symbol,
        price=trade.price,
        size=trade.size,
        event_time_us=trade.event_time_us,
        received_time_us=trade.event_time_us,
        provider="binance",
        trade_id=trade.trade_id,
        sequence=trade.sequence,
        asset_class="crypto",
    )


def numbers(tick: Tick) -> tuple[int, float, float, int]:
    return (tick.event_time_us, tick.price, tick.size, tick.sequence)


async def test_bars_are_fetched_too(stand: PastStand, replay: ReplayServer, tmp_path: Path) -> None:
    symbol, _ = stand.settings.symbols
    code, said = await (runs := Runs(stand, replay, tmp_path)).finish(runs.start("--data", "bars"))
    assert code == 0, said
    bars = [decode_bar(message.value) for message in stand.messages(PROVIDER_BARS, symbol)]
    played = list(replay.history.bars(symbol, 60_000_000, START_MS * 1_000, (START_MS + 3_600_000) * 1_000))
    assert [(bar.start_us, bar.open, bar.close, bar.volume, bar.provider) for bar in bars] == [
        (bar.start_us, bar.open, bar.close, bar.volume, "binance") for bar in played
    ]
    assert len(bars) == 3


async def test_a_symbol_that_the_provider_does_not_know_stops_no_other(
    stand: PastStand, replay: ReplayServer, tmp_path: Path
) -> None:
    symbol, _ = stand.settings.symbols
    runs = Runs(stand, replay, tmp_path)
    runs.arguments[3] = f"NOBODYS,{symbol}"
    runs.arguments[7] = str(START_MS + 10_000)
    code, said = await runs.finish(runs.start())
    assert code == 1
    assert "NOBODYS" in said
    assert "Invalid symbol" in said
    assert ids(stand.published(symbol)) == each_once(
        len(replay.history.between(symbol, 0, (START_MS + 10_000) * 1_000))
    )


async def test_what_would_count_twice_is_refused(stand: PastStand, replay: ReplayServer, tmp_path: Path) -> None:
    first, second = stand.settings.symbols
    runs = Runs(stand, replay, tmp_path)
    runs.arguments[7] = str(START_MS + 10_000)
    (other,) = trades(second, 1)
    stand.put(Tick(**{**fields(tick_of(other)), "provider": "finage"}))
    eventually(lambda: bool(stand.stored(second)), within_seconds=60, what="stored")
    code, said = await runs.finish(runs.start())
    assert (code, "has trades of finage in this range" in said) == (1, True)
    say(stand.settings, gap(first, "open"))
    code, said = await runs.finish(runs.start("--mixed"))
    assert (code, "is filling a gap" in said) == (1, True)
    say(stand.settings, gap(first, "closed"))
    assert (await runs.finish(runs.start("--mixed")))[0] == 0


def fields(tick: Tick) -> dict[str, object]:
    decoded: dict[str, object] = orjson.loads(encode(tick))
    return decoded


def gap(symbol: str, state: str) -> FeedEvent:
    now_us = SystemClock().now_us()
    it = FeedGap(
        gap_id=f"binance:{symbol}:5",
        provider="binance",
        symbol=symbol,
        start_us=START_MS * 1_000,
        end_us=START_MS * 1_000 + 5,
        first_id=5,
        last_id=6,
        missing=2,
        filled=0,
        state=state,  # type: ignore[arg-type]  # as the test says it
        detail="",
        opened_us=now_us,
        updated_us=now_us,
    )
    return FeedEvent(kind="gap", provider="binance", detail="", time_us=now_us, gap=it)


def say(settings: Settings, event: FeedEvent) -> None:
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    publisher.publish(FEED_EVENTS, event.provider, encode(event))
    assert publisher.flush(30) == 0


def test_what_a_provider_can_not_do_is_said_with_what_it_can() -> None:
    def build(provider: str, symbol: str = "IBM") -> None:
        build_backfill(Settings(), BackfillRequest(provider=provider, symbols=(symbol,), start_us=1, end_us=2))

    with pytest.raises(ProviderError, match="use --data bars") as refused:
        build("finazon")
    assert refused.value.fault is Fault.UNSUPPORTED
    with pytest.raises(ConfigurationError, match="none of the providers"):
        build("nobody")
    with pytest.raises(ConfigurationError, match="carries none of IBM"):
        build("binance", "IBM")
