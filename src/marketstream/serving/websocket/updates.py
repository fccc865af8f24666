"""What clients are sent: a message of a topic, or the same from a store, encoded once for all of them.

Reads: the messages of `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`, `signals`,
`anomalies`, `alerts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from marketstream.contracts import topics
from marketstream.contracts.messages import decode_bar, decode_indicators, decode_tick, encode
from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Message

GENERAL = ""  # the symbol of what is about none, such as an alert about a feed


class Channel(StrEnum):
    """What can be subscribed to."""

    TICKS = "ticks"
    BARS = "bars"
    INDICATORS = "indicators"
    SIGNALS = "signals"
    ANOMALIES = "anomalies"
    ALERTS = "alerts"


EVENTS = frozenset({Channel.SIGNALS, Channel.ANOMALIES, Channel.ALERTS})
VERSIONED = frozenset({Channel.BARS, Channel.INDICATORS})


@dataclass(slots=True, eq=False, kw_only=True)
class Update:
    """One message for clients.

    Attributes:
        channel: Which one it belongs to.
        symbol: What it is about; `GENERAL` for no symbol.
        fragment: Its JSON, with channel and symbol, shared by all clients.
        order: Of two updates of one slot, the higher is the newer; a version, or a tick's place among its symbol's.
        received_us: When the newest trade in it left our socket; None where it tells of none.
        slot: What it is the state of: a newer update of the same slot makes it superfluous. None for an event.
        interval: Of a bar or indicators.
        identity: Of a tick: what no other has.
        leads: Whether it may stand for the latest price; a trade may be of a kind that does not.
        void: Of a bar: no trade is left in it, so there is none.
        final: Of a bar or its indicators: it came when time had passed, and not at once with a trade.
    """

    channel: Channel
    symbol: str
    fragment: bytes
    order: tuple[Any, ...] = ()
    received_us: int | None = None
    slot: tuple[Any, ...] | None = None
    interval: str | None = None
    identity: tuple[str, str] | None = None
    leads: bool = True
    void: bool = False
    final: bool = False


class Decoder:
    """Makes updates of messages and of what stores hold.

    Args:
        intervals: Whose bars are read.
        rules: Which trades update the latest price.
    """

    def __init__(self, intervals: tuple[Interval, ...], rules: TradeRules = CONSOLIDATED) -> None:
        self._rules = rules
        self._readers: Mapping[str, Callable[[Message], Update]] = {
            topics.TICKS: lambda message: self.of_tick(decode_tick(message.value), message.value),
            topics.PROVIDER_BARS: self._bar,
            **{topics.bars_topic(interval): self._bar for interval in intervals},
            topics.INDICATORS: lambda message: self.of_indicators(decode_indicators(message.value), message.value),
            topics.SIGNALS: lambda message: _event(Channel.SIGNALS, message),
            topics.ANOMALIES: lambda message: _event(Channel.ANOMALIES, message),
            topics.ALERTS: lambda message: _event(Channel.ALERTS, message),
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """What is to be read."""
        return tuple(self._readers)

    def decode(self, message: Message) -> Update:
        """The update that a message is.

        Raises:
            ValueError: It is none of its topic.
        """
        return self._readers[message.topic](message)

    def of_tick(self, tick: Tick, value: bytes | None = None) -> Update:
        """The update that a tick is; `value` is its JSON, where that is known."""
        leads = not tick.conditions or self._rules.updates(tick.provider, tick.conditions).last
        return Update(
            channel=Channel.TICKS,
            symbol=tick.symbol,
            fragment=_fragment(Channel.TICKS, tick.symbol, value or encode(tick)),
            order=tick.order,
            received_us=tick.received_time_us,
            slot=(Channel.TICKS, tick.symbol),
            identity=(tick.provider, tick.trade_id),
            leads=leads,
        )

    def of_bar(self, bar: Bar, value: bytes | None = None) -> Update:
        """The update that a bar is, whether provisional, final or void."""
        return _versioned(Channel.BARS, bar, value, void=bar.void)

    def of_indicators(self, indicators: Indicators, value: bytes | None = None) -> Update:
        """The update that a bar's indicators are."""
        return _versioned(Channel.INDICATORS, indicators, value)

    def _bar(self, message: Message) -> Update:
        return self.of_bar(decode_bar(message.value), message.value)


def _versioned(channel: Channel, item: Bar | Indicators, value: bytes | None, *, void: bool = False) -> Update:
    return Update(
        channel=channel,
        symbol=item.symbol,
        fragment=_fragment(channel, item.symbol, value or encode(item)),
        order=item.version,
        received_us=item.last_received_time_us,
        slot=(channel, item.symbol, item.interval, item.start_us),
        interval=item.interval,
        void=void,
        final=item.final,
    )


def _event(channel: Channel, message: Message) -> Update:
    """An event is passed on as it is: what is in it is its topic's affair."""
    content = orjson.loads(message.value)
    if not isinstance(content, dict):
        raise ValueError("an event is a JSON object")
    about = content.get("symbol") or content.get("subject") or message.key or GENERAL
    symbol = about if isinstance(about, str) else GENERAL
    return Update(channel=channel, symbol=symbol, fragment=_fragment(channel, symbol, message.value))


def _fragment(channel: Channel, symbol: str, value: bytes) -> bytes:
    return b'{"channel":"%b","symbol":%b,"data":%b}' % (channel.encode(), orjson.dumps(symbol), value)
