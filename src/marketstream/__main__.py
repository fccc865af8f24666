"""Lets `python -m marketstream` run the `marketstream` command."""

from marketstream.cli import main

main()
