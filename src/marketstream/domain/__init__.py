"""Frozen value types of the market and the error tree; imports nothing but the standard library."""
