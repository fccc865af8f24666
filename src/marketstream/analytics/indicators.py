"""The technical indicators of one symbol and interval, bar by bar: exact, restartable, cheap on a bar still open."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from math import isfinite, nan

from marketstream.analytics.indicator_state import IndicatorStateError, Version, pack_state, unpack_state
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.recursive import Atr, Before, Emas, Macd, Numbers, Recursive, Rsi, SessionVwap
from marketstream.analytics.sessions import Sessions
from marketstream.analytics.windowed import Bollinger, History, RollingVwap, Smas, Volatility, VolumeRatio, Windowed
from marketstream.domain.errors import MarketstreamError
from marketstream.domain.market import Bar


class StaleBarError(MarketstreamError):
    """A bar is older than what the indicators have seen close; leave it out."""


class IndicatorCalculator:
    """All indicators of one symbol and interval.

    Call `warm` or `restore` first where there is a past, then `preview` for each provisional bar and `close` for each
    final one. Bars come in the order of their time; one more version of the newest closed bar is welcome at any moment.

    Args:
        parameters: The indicators' periods.
        sessions: The symbol's trading sessions.
    """

    __slots__ = ("_after", "_before", "_history", "_newest", "_parameters", "_recursive", "_windowed")

    def __init__(self, parameters: IndicatorParameters, sessions: Sessions) -> None:
        self._parameters = parameters
        self._recursive: tuple[Recursive, ...] = (
            Emas(parameters.ema),
            Rsi(parameters.rsi),
            Macd(parameters.macd_fast, parameters.macd_slow, parameters.macd_signal),
            Atr(parameters.atr),
            SessionVwap(sessions),  # the last: see warm
        )
        self._windowed: tuple[Windowed, ...] = (
            Smas(parameters.sma),
            Bollinger(parameters.bollinger, parameters.bollinger_deviations),
            RollingVwap(parameters.vwap),
            VolumeRatio(parameters.volume_ratio),
            Volatility(parameters.volatility),
        )
        self._history = History(parameters)
        start = tuple(indicator.start for indicator in self._recursive)
        # What is known before the newest closed bar, so that it can be done again, and after it.
        self._before = self._after = Before(0, nan, start, self._prepare())
        self._newest: Version | None = None

    @property
    def count(self) -> int:
        """How many bars have closed."""
        return self._after.count

    @property
    def newest(self) -> Version | None:
        """`Bar.version` of the last bar that closed; None before the first."""
        return self._newest

    def preview(self, bar: Bar) -> Mapping[str, float]:
        """The values if `bar` closed as it stands; nothing of it is kept.

        Raises:
            StaleBarError: A later bar has closed, or a newer version of this one.
        """
        return self._evaluate(self._base(bar), bar)[0]

    def close(self, bar: Bar) -> Mapping[str, float]:
        """The values of a final bar, which counts from now on; in place of the newest, if it is a version of that.

        Raises:
            StaleBarError: A later bar has closed, or a newer version of this one.
            ValueError: The bar is not final.
        """
        if not bar.final:
            raise ValueError("only a final bar closes; preview the others")
        base = self._base(bar)
        values, carried = self._evaluate(base, bar)
        if base is self._before and self._newest is not None:
            self._history.drop_newest()
        self._history.append(bar, base.close)
        self._before, self._after = base, Before(base.count + 1, bar.close, carried, self._prepare())
        self._newest = bar.version
        return values

    def drop_newest(self) -> None:
        """Takes the newest closed bar back, as if it had never been; another one has to close before the next such.

        Raises:
            ValueError: None has closed since the last one was taken back: what was before is not known.
        """
        if self._newest is None:
            raise ValueError("the bar before the newest can't be taken back")
        self._history.drop_newest()
        self._after, self._newest = self._before, None

    def warm(self, bars: Iterable[Bar], *, complete_since_us: int | None = None) -> None:
        """Closes past bars, the oldest first, and leaves provisional ones out.

        `IndicatorParameters.history_bars` tells how many to bring.

        Args:
            bars: Bars of the symbol and interval.
            complete_since_us: No bar from here on is missing, even if the first comes later. Without it the session's
                VWAP is absent in a session that opened before the first bar.

        Raises:
            StaleBarError: The bars are not in order, or not later than what has closed.
        """
        if complete_since_us is not None:
            for base in (self._before, self._after):
                *others, (open_us, notional, volume, seen_from_us) = base.carried
                base.carried = (*others, (open_us, notional, volume, min(seen_from_us, float(complete_since_us))))
        for bar in bars:
            if bar.final:
                self.close(bar)

    def state(self) -> bytes:
        """Everything that later values depend on, to the last bit; about 2 kB."""
        numbers = array("d", chain(*(chain((base.close,), *base.carried) for base in (self._before, self._after))))
        for column in self._history.columns:
            numbers.extend(column)
        return pack_state(self._parameters.fingerprint, self.count, self._newest, numbers)

    def restore(self, state: bytes) -> None:
        """Goes on from where `state` was taken, in place of all that was seen.

        Raises:
            IndicatorStateError: The state is not of this format or not of these parameters. Nothing has changed.
        """
        count, newest, numbers = unpack_state(state, self._parameters.fingerprint)
        own = 2 * (1 + sum(len(indicator.start) for indicator in self._recursive))
        if len(numbers) != own + self._history.size(count):
            raise IndicatorStateError("the state is cut off; warm from history instead")
        bases = iter(numbers[:own])
        before, after = (self._read(bases, count - 1 if newest else count), self._read(bases, count))
        self._history.load(count, numbers[own:])
        after.prepared = before.prepared = self._prepare()
        if newest is not None:
            row = self._history.drop_newest()
            before.prepared = self._prepare()
            self._history.put_back(row)
        self._before, self._after, self._newest = before, after, newest

    def _read(self, numbers: Iterator[float], count: int) -> Before:
        close = next(numbers)
        return Before(count, close, tuple(tuple(islice(numbers, len(one.start))) for one in self._recursive), ())

    def _prepare(self) -> tuple[Numbers, ...]:
        return tuple([indicator.prepare(self._history) for indicator in self._windowed])

    def _base(self, bar: Bar) -> Before:
        """What is known before `bar`."""
        newest = self._newest
        if newest is None or bar.start_us > newest[0]:
            return self._after
        if bar.start_us == newest[0] and bar.version >= newest:
            return self._before
        raise StaleBarError(f"a bar from {bar.start_us} is older than the one from {newest[0]} that has closed")

    def _evaluate(self, before: Before, bar: Bar) -> tuple[dict[str, float], tuple[Numbers, ...]]:
        """The values of `bar`, and what the recursive indicators carry on from it."""
        values: dict[str, float] = {}
        carried = tuple(
            [
                indicator.step(numbers, before, bar, values)
                for indicator, numbers in zip(self._recursive, before.carried, strict=True)
            ]
        )
        for indicator, prepared in zip(self._windowed, before.prepared, strict=True):
            if prepared:
                indicator.tell(prepared, before, bar, values)
        if not isfinite(sum(values.values())):
            values = {name: value for name, value in values.items() if isfinite(value)}
        return values, carried
