"""Stage 1: provider frames become validated ticks on `tick_data`, or dead letters."""
