"""Trading sessions, in which the session's VWAP is counted: which one a moment belongs to.

| asset class | calendar | session |
| --- | --- | --- |
| equity | `XNYS` | New York's regular hours, 9:30 to 16:00 or an early close; before and after there is none |
| commodity | `CMES` | CME Globex, 17:00 to 17:00 Chicago, Sunday to Friday, with its holidays and early closes |
| forex | `24/5` | 17:00 to 17:00 New York, Sunday to Friday; no holidays |
| crypto | `24/7` | the UTC day |

Any other name is one of the library `exchange_calendars`; a break at noon does not end a session there.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Protocol
from zoneinfo import ZoneInfo

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.interval import MICROSECONDS
from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import asset_class_of

_DAY_US = 86_400 * MICROSECONDS
_CHUNK_US = 3_650 * _DAY_US  # a calendar is computed ten years at a time, in about a second
_MARGIN = timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREX_CALENDAR = "24/5"
UTC_CALENDAR = "24/7"
CALENDARS: Mapping[AssetClass, str] = MappingProxyType(
    {"equity": "XNYS", "commodity": "CMES", "forex": FOREX_CALENDAR, "crypto": UTC_CALENDAR}
)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session, `[open_us, close_us)` in µs UTC."""

    open_us: int
    close_us: int


class Sessions(Protocol):
    """One market's sessions. Asked for every bar, so an answer must be cheap."""

    def session_of(self, time_us: int) -> Session | None:
        """The session in progress at `time_us`; None where there is none."""


class UtcDays:
    """Every UTC day is a session: a market that never closes."""

    def __init__(self) -> None:
        self._last = Session(0, _DAY_US)

    def session_of(self, time_us: int) -> Session | None:
        """The UTC day of `time_us`."""
        last = self._last
        if not last.open_us <= time_us < last.close_us:
            open_us = time_us - time_us % _DAY_US
            self._last = last = Session(open_us, open_us + _DAY_US)
        return last


class ForexDays:
    """17:00 to 17:00 in New York, from Sunday to Friday: the day by which foreign exchange is settled and charted.

    The library's calendar of the name `24/5` goes by UTC days and would leave Sunday's evening without a session.
    """

    _TURN = time(17)

    def __init__(self) -> None:
        self._zone = ZoneInfo("America/New_York")
        self._last = Session(0, 0)

    def session_of(self, time_us: int) -> Session | None:
        """The forex day of `time_us`; None at the weekend."""
        last = self._last
        if last.open_us <= time_us < last.close_us:
            return last
        local = (_EPOCH + timedelta(microseconds=time_us)).astimezone(self._zone)
        day = local.date() + timedelta(days=local.time() >= self._TURN)
        if day.isoweekday() > 5:
            return None
        turns = (datetime.combine(at, self._TURN, self._zone) for at in (day - timedelta(days=1), day))
        open_us, close_us = (int(turn.timestamp()) * MICROSECONDS for turn in turns)
        self._last = Session(open_us, close_us)
        return self._last


class ExchangeSessions:
    """An exchange's sessions as the library `exchange_calendars` knows them; it is first imported when asked.

    Args:
        name: The exchange's ISO 10383 code, or another name the library has.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._chunks: dict[int, tuple[list[int], list[Session]]] = {}

    def session_of(self, time_us: int) -> Session | None:
        """The session in progress at `time_us`; None outside the exchange's hours.

        Raises:
            ConfigurationError: The library has no calendar of that name, or none for that time.
        """
        number = time_us // _CHUNK_US
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = self._load(number)
        opens, sessions = chunk
        at = bisect_right(opens, time_us) - 1
        return sessions[at] if at >= 0 and time_us < sessions[at].close_us else None

    def _load(self, number: int) -> tuple[list[int], list[Session]]:
        # Half a second and, unless it is there already, pandas: nothing that a reader of bars should pay for.
        import exchange_calendars  # type: ignore[import-untyped]  # ships no types

        first, last = (_EPOCH + timedelta(microseconds=edge * _CHUNK_US) for edge in (number, number + 1))
        try:
            schedule = exchange_calendars.get_calendar(
                self._name, start=(first - _MARGIN).date().isoformat(), end=(last + _MARGIN).date().isoformat()
            ).schedule
        except (exchange_calendars.errors.CalendarError, ValueError) as error:
            raise ConfigurationError(
                f"no trading calendar {self._name!r} for {first:%Y} to {last:%Y}: {error}"
            ) from None
        opens, closes = ([stamp.value // 1_000 for stamp in schedule[column]] for column in ("open", "close"))
        return opens, [Session(*hours) for hours in zip(opens, closes, strict=True)]


class MarketSessions:
    """The sessions of every symbol, each calendar made once and shared.

    Args:
        calendars: The calendar's name by asset class, for those that differ from `CALENDARS`.
    """

    def __init__(self, calendars: Mapping[AssetClass, str] | None = None) -> None:
        self._names = {**CALENDARS, **(calendars or {})}
        self._made: dict[str, Sessions] = {}

    def of(self, symbol: str) -> Sessions:
        """The sessions in which `symbol` trades, by the asset class its name tells."""
        name = self._names[asset_class_of(symbol)]
        if name not in self._made:
            self._made[name] = _sessions(name)
        return self._made[name]


def _sessions(name: str) -> Sessions:
    if name == UTC_CALENDAR:
        return UtcDays()
    return ForexDays() if name == FOREX_CALENDAR else ExchangeSessions(name)
