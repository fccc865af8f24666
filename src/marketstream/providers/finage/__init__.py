"""Finage: trades and quotes of US stocks, crypto and currencies over its WebSocket, bars over its REST API.

Each market has a server of its own there, named in the customer's dashboard. Finage gives no trade ids: a trade is
known by its content, so two prints that are equal in time, price, size and conditions count once.
"""
