"""Numbers and times as the page shows them. Minus is a real minus sign; times are UTC."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from marketstream.domain.interval import MICROSECONDS
from marketstream.domain.market import Bar

_MINUS = "\N{MINUS SIGN}"
_NOTHING = "\N{EN DASH}"
_MAX_DECIMALS = 8
_COMPACT = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K"))


def price_decimals(prices: Iterable[float]) -> int:
    """Decimals that show every given price in full, from 2 to 8."""
    wanted = 2
    for price in prices:
        exponent = Decimal(repr(price)).normalize().as_tuple().exponent
        wanted = max(wanted, -int(exponent))
    return min(wanted, _MAX_DECIMALS)


def price(value: float | None, decimals: int) -> str:
    """A price with thousands separators."""
    return _NOTHING if value is None else f"{value:,.{decimals}f}"


def count(bars: Sequence[Bar]) -> str:
    """How many trades the bars hold: a dash where their providers don't tell, a plus after it where only some do."""
    trades = sum(bar.trade_count for bar in bars)
    silent = any(not bar.trade_count for bar in bars)
    return _NOTHING if silent and not trades else f"{trades:,}{'+' if silent else ''}"


def signed(value: float, decimals: int, unit: str = "") -> str:
    """A change, always with its sign; zero has none."""
    text = f"{abs(value):,.{decimals}f}{unit}"
    if not float(f"{value:.{decimals}f}"):
        return text
    return f"+{text}" if value > 0 else f"{_MINUS}{text}"


def amount(value: float) -> str:
    """A size or volume in about four significant digits: `0.0123`, `12.87`, `1,234`, `45.7K`, `1.234M`."""
    for unit, suffix in _COMPACT:
        if value >= unit:
            return f"{value / (unit if suffix != 'K' else 1e3):.4g}{suffix}"
    if value >= 1_000:
        return f"{value:,.0f}"
    text = f"{value:.4g}" if value >= 1 else f"{value:.4f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def age(seconds: float | None) -> str:
    """A duration in the unit a person would say: `0.4 s`, `12 s`, `5 min`, `3 h`, `12 d`."""
    if seconds is None:
        return _NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}"
    return f"{int(seconds)} s"


def clock(time_us: int) -> str:
    """`13:30:05` UTC."""
    return f"{_moment(time_us):%H:%M:%S}"


def day_and_clock(time_us: int) -> str:
    """`7 Oct 2013, 13:30` UTC."""
    moment = _moment(time_us)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def axis_time(time_us: int) -> str:
    """A time as plotly's date axis wants it, UTC."""
    return _moment(time_us).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // MICROSECONDS, UTC)
