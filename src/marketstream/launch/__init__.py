"""Starts, supervises and reports on the platform as plain processes."""
