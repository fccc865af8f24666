"""Binance USD-M frames: spot's, with a time in quotes."""

from functools import partial

from marketstream.providers.binance import parse

NAME = "binance_usdm"

parse_frame = partial(parse.parse_frame, provider=NAME)
