"""The skeleton of an adapter, complete and working, for an imaginary provider of line-delimited JSON. Copy this folder.

Required, and what each must give:

- `parse.py`: `NAME`, and `parse_frame(raw, received_time_us, names) -> list[Parsed]`, pure, never raising on bad
  data, with its rule for ignored events in the docstring; control messages are read by a function of their own.
- `config.py`: a frozen dataclass with `of(endpoint, settings)`: the address, the symbols in the provider's own
  spelling, and the provider's limits as named fields.
- `client.py`: a class with `name`, `capabilities`, `symbols`, `history` and `stream()` (the port
  `marketstream.ports.Provider`), and `create(…)`, which the registry calls. The constructor opens nothing; `stream()`
  never reconnects.

Optional: `history.py`, a `History` where the provider has a REST API (`NoHistory` otherwise); subscription in batches,
several connections (`providers.merge`), a key (`SocketConfig.secret`), a heartbeat of its own beside WebSocket
pings, which the library sends and answers.
"""
