"""Sets the clock of this process wrong by so many seconds. Timers and the monotonic clock stay right."""

import datetime as dt
import os
import time

_SKEW = float(os.environ["BEC_TEST_CLOCK_SKEW"])
_real_time = time.time
_RealDatetime = dt.datetime


class _Skewed(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return _RealDatetime.now(tz) + dt.timedelta(seconds=_SKEW)


time.time = lambda: _real_time() + _SKEW
dt.datetime = _Skewed  # type: ignore[misc]
