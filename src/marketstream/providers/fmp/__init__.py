"""Financial Modeling Prep: trades, quotes and breaks of US stocks, crypto and currencies, and bars over REST.

Each market has a host of its own. FMP gives no trade ids: a trade is known by its content, so two prints that are equal
in time, price and size count once.
"""
