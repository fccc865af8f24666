"""Stage 3: one writer and one reader per store."""
