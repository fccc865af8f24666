"""REST: ticks, bars and health over HTTP."""
