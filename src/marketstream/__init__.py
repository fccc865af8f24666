"""marketstream: real-time market data from a provider's socket to the screen."""
