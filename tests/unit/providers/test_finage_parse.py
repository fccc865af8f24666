"""Finage frames become ticks and quotes, and what is wrong with them becomes a reason."""

from typing import Any

import orjson
import pytest

from marketstream.domain.market import Quote, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.finage.config import FinageConfig
from marketstream.providers.finage.parse import parse_frame
from marketstream.settings import FinageSettings, Settings

RECEIVED = 1_714_403_004_500_123
STOCK = b'{"s":"AAPL","p":163.58,"c":[37],"v":50,"dp":false,"t":1646154954689}'
STOCK_QUOTE = b'{"s":"TSLA","ap":189.3,"bp":189.27,"as":3,"bs":1,"t":1714403004431}'
STOCK_QUOTE_WITH_CHANGE = (
    b'{"s":"GOOGL","a":167.989804,"as":13,"b":167.970446,"bs":4,"dc":-1.9556,"dd":-3.2851,"t":1714403502895}'
)
CRYPTO = b'{"s":"BTCUSD","p":"43682.66306523","q":"0.04582000","dex":false,"src":"A","t":1706000000000}'
CRYPTO_PLAIN = b'{"s":"HBARUSD","p":"0.06648169","q":"340082.47302549","t":1680704234267}'
FOREX = b'{"s":"GBP/USD","a":1.33139,"b":1.3313,"dd":"-0.0108","dc":"-0.8082","ppms":false,"t":1714403004431}'
NOTICES = [
    b'{"status_code":200,"message":"authorizing","id":"e0fb1b68-1905-48e3-9fd2-d482bf5e1f0a"}',
    b'{"status_code":200,"message":"connected to the adapter","id":"e0fb1b68"}',
    b'{"status_code":401,"message":"invalid socket key"}',
    b"401 - invalid socket key",
    b"401 - use your socket key to connect",
    b"401 - please upgrade your package to access this market",
    b"please upgrade your package to access this market",
]


def changed(frame: bytes, **fields: Any) -> bytes:
    """The frame with some fields set; None removes one."""
    event = orjson.loads(frame) | fields
    return orjson.dumps({name: value for name, value in event.items() if value is not None})


def replaced(frame: bytes, old: bytes, new: bytes) -> bytes:
    assert old in frame
    return frame.replace(old, new)


def only(frame: bytes | str) -> Any:
    (outcome,) = parse_frame(frame, RECEIVED)
    return outcome


def refusal(frame: bytes) -> Rejected:
    outcome = only(frame)
    assert isinstance(outcome, Rejected)
    assert (outcome.raw, outcome.provider, outcome.received_time_us) == (frame, "finage", RECEIVED)
    return outcome


def test_a_stocks_trade() -> None:
    assert only(STOCK) == Tick(
        symbol="AAPL",
        price=163.58,
        size=50.0,
        event_time_us=1_646_154_954_689_000,
        received_time_us=RECEIVED,
        provider="finage",
        trade_id="1646154954689:163.58:50.0:37",
        asset_class="equity",
        conditions=("37",),
    )


def test_a_crypto_trade() -> None:
    assert only(CRYPTO) == Tick(
        symbol="BTCUSD",
        price=43682.66306523,
        size=0.04582,
        event_time_us=1_706_000_000_000_000,
        received_time_us=RECEIVED,
        provider="finage",
        trade_id="1706000000000:43682.66306523:0.04582:A",
        asset_class="crypto",
        exchange="A",
    )
    assert (only(CRYPTO_PLAIN).size, only(CRYPTO_PLAIN).exchange) == (340_082.47302549, None)


def test_a_stocks_quote_in_either_spelling() -> None:
    assert only(STOCK_QUOTE) == Quote(
        symbol="TSLA",
        bid_price=189.27,
        bid_size=1.0,
        ask_price=189.3,
        ask_size=3.0,
        event_time_us=1_714_403_004_431_000,
        received_time_us=RECEIVED,
        provider="finage",
        asset_class="equity",
    )
    quote = only(STOCK_QUOTE_WITH_CHANGE)
    assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (167.970446, 4.0, 167.989804, 13.0)


def test_currencies_and_metals_are_canonical_by_the_symbology() -> None:
    endpoint = FinageSettings(websocket_url="wss://x.invalid", rest_url="", symbol_names={"EURUSD": "EUR/USD.X"})
    names = FinageConfig.of(endpoint, Settings(symbols=["GBPUSD", "XAUUSD", "EURUSD"])).names
    (quote,) = parse_frame(FOREX, RECEIVED, names)
    assert isinstance(quote, Quote)
    assert (quote.symbol, quote.asset_class, quote.bid_price, quote.ask_price) == ("GBPUSD", "forex", 1.3313, 1.33139)
    assert (quote.bid_size, quote.ask_size) == (0.0, 0.0)
    found = [parse_frame(replaced(FOREX, b"GBP/USD", name), RECEIVED, names)[0] for name in (b"XAU/USD", b"eur/usd.x")]
    assert [(each.symbol, getattr(each, "asset_class", None)) for each in found] == [
        ("XAUUSD", "commodity"),
        ("EURUSD", "forex"),
    ]


@pytest.mark.parametrize("time", [1646154954, 1646154954000, 1646154954000000, 1646154954000000000])
def test_times_are_normalised_by_their_magnitude(time: int) -> None:
    assert only(changed(STOCK, t=time)).event_time_us == 1_646_154_954_000_000


def test_a_frame_sent_again_is_the_same_trade_and_any_difference_another() -> None:
    assert only(STOCK).trade_id == only(b" " + STOCK + b"\n").trade_id == only(changed(STOCK, dc="1.2")).trade_id
    others = [{"p": 163.59}, {"v": 51}, {"c": [37, 12]}, {"c": None}, {"t": 1646154954690}, {"dp": True}]
    ids = {only(STOCK).trade_id, *(only(changed(STOCK, **other)).trade_id for other in others)}
    assert len(ids) == 1 + len(others)
    assert only(CRYPTO).trade_id != only(replaced(CRYPTO, b'"src":"A"', b'"src":"B"')).trade_id


def test_text_spaces_and_unknown_fields_are_taken() -> None:
    assert only(STOCK.decode()) == only(STOCK)
    assert only(replaced(STOCK, b'"p":163.58', b'"p" : 163.58')) == only(STOCK)
    assert only(replaced(CRYPTO, b'"q":', b'"q" : ')) == only(CRYPTO)
    assert only(changed(STOCK, new={"q": [1]})) == only(STOCK)


def test_optional_fields_may_be_absent() -> None:
    assert only(changed(STOCK, c=None, dp=None)).conditions == ()
    assert only(replaced(STOCK, b"[37]", b"null")).conditions == ()
    assert only(changed(CRYPTO, src=None)).exchange is None


@pytest.mark.parametrize("frame", NOTICES)
def test_notices_are_ignored(frame: bytes) -> None:
    assert parse_frame(frame, RECEIVED) == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (changed(STOCK, p=-163.58), Reason.NON_POSITIVE_PRICE),
        (changed(STOCK, p=0), Reason.NON_POSITIVE_PRICE),
        (changed(STOCK, v=-1), Reason.NEGATIVE_SIZE),
        (replaced(STOCK, b"163.58", b"NaN"), Reason.NOT_FINITE),
        (replaced(STOCK, b"163.58", b"1e999"), Reason.NOT_FINITE),
        (replaced(STOCK, b"163.58", b'"163.58"'), Reason.INVALID_FIELD),
        (replaced(STOCK, b"163.58", b"true"), Reason.INVALID_FIELD),
        (changed(STOCK, p=1e16), Reason.INVALID_FIELD),
        (changed(STOCK, v=None), Reason.INVALID_FIELD),
        (changed(STOCK, t=None), Reason.INVALID_FIELD),
        (changed(STOCK, t="1646154954689"), Reason.INVALID_FIELD),
        (changed(STOCK, t=-1), Reason.TIME_OUT_OF_RANGE),
        (replaced(STOCK, b"1646154954689", b"9" * 30), Reason.TIME_OUT_OF_RANGE),
        (changed(STOCK, s=""), Reason.INVALID_FIELD),
        (changed(STOCK, s="A\0"), Reason.INVALID_FIELD),
        (changed(STOCK, c=list(range(40))), Reason.INVALID_FIELD),
        (changed(CRYPTO, p="-1"), Reason.NON_POSITIVE_PRICE),
        (changed(CRYPTO, q="-1"), Reason.NEGATIVE_SIZE),
        (changed(CRYPTO, p="NaN"), Reason.NOT_FINITE),
        (changed(CRYPTO, p="1e999"), Reason.NOT_FINITE),
        (changed(CRYPTO, p="x"), Reason.INVALID_FIELD),
        (changed(CRYPTO, q=0.04582), Reason.INVALID_FIELD),
        (changed(CRYPTO, t=-1), Reason.TIME_OUT_OF_RANGE),
        (changed(STOCK_QUOTE, ap=0), Reason.NON_POSITIVE_PRICE),
        (changed(STOCK_QUOTE, bs=-1), Reason.NEGATIVE_SIZE),
        (changed(STOCK_QUOTE, bp=None), Reason.INVALID_FIELD),
        (changed(FOREX, a=None), Reason.INVALID_FIELD),
        (changed(FOREX, b=1e16), Reason.INVALID_FIELD),
        (changed(STOCK_QUOTE, t=0), Reason.TIME_OUT_OF_RANGE),
        (changed(FOREX, t=RECEIVED + 86_400_000_001), Reason.TIME_OUT_OF_RANGE),
        (b'{"s":"AAPL","t":1646154954689}', Reason.MALFORMED),
        (b'{"hello":1}', Reason.MALFORMED),
        (b"[%b]" % STOCK, Reason.MALFORMED),
        (b'{"s":"AAPL","p":163.58', Reason.MALFORMED),
        (b"", Reason.MALFORMED),
        (b"null", Reason.MALFORMED),
        (b"\xff\xfe", Reason.MALFORMED),
        (b"hello there", Reason.MALFORMED),
        (b"[" * 5_000, Reason.MALFORMED),
    ],
)
def test_bad_frames_are_refused(frame: bytes, reason: Reason) -> None:
    assert refusal(frame).reason is reason


def test_a_refusal_names_the_symbol_where_it_can_be_read() -> None:
    assert refusal(changed(STOCK, p=-1)).symbol == "AAPL"
    assert refusal(b'{"s":"AAPL","t":1}').symbol == "AAPL"
    assert refusal(b"{}").symbol is None
