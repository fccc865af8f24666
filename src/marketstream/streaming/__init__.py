"""Stage 2: Spark turns ticks into bars, and the closer says when they are final. The only place that imports Spark."""
