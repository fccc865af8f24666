"""Pure maths of the market: indicators and trading sessions. No I/O, no Spark; imports nothing but the domain."""
