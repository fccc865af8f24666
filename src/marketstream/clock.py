"""The one wall clock; everything else takes a `Clock` and is given this one, or a fake."""

import time


class SystemClock:
    """A `Clock` on the operating system's time."""

    def now_us(self) -> int:
        """Microseconds UTC since the epoch."""
        return time.time_ns() // 1_000
