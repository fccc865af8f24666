"""The shape of everything that crosses a boundary: topics, messages, tables, measurements, cache keys."""
