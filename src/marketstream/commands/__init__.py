"""The commands that work on a running platform's data: dead letters and backfill."""
