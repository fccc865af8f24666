"""Stage 2: Spark turns ticks into bars. The only place that imports Spark."""
