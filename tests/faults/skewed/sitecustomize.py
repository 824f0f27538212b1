"""Sets the clock of this process wrong by so many seconds. Timers and the monotonic clock stay right."""

import ctypes
import datetime as dt
import gc
import os
import time
from typing import cast

_SKEW = float(os.environ["BEC_TEST_CLOCK_SKEW"])
_real_time = time.time
_real_now = dt.datetime.now


def _now(_cls: type, tz: dt.tzinfo | None = None) -> dt.datetime:
    return _real_now(tz) + dt.timedelta(seconds=_SKEW)


def _set_datetime_wrong() -> None:
    # In the class itself, past its mapping proxy: libraries in C and Rust take no other class for a datetime.
    attributes = cast("dict[str, object]", gc.get_referents(dt.datetime.__dict__)[0])
    attributes["now"] = classmethod(_now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))


time.time = lambda: _real_time() + _SKEW
_set_datetime_wrong()
