"""Logs as events with fields: JSON lines for CloudWatch, readable lines on a terminal, and never a secret.

Code logs `logger.info("task.done", extra={"volume": "W1/I1", "pages": 12})`: a constant event name, and fields.
"""

import datetime as dt
import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from typing_extensions import override

# What every LogRecord has; what else it has came as `extra`, and is a field of the event.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
_MASK = "***"
LEAST_HIDDEN = 8
"""Length of the shortest secret that is taken out wherever it stands: a shorter one is a part of many words."""


class Redactor:
    """Takes secrets out of a finished line, wherever in it they are: message, fields or traceback."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._forms: list[str] = []
        self.add(secrets)

    def add(self, secrets: Sequence[str]) -> None:
        """Take these out, too, those that are long enough to be distinct from other words."""
        forms = {form for secret in secrets if len(secret) >= LEAST_HIDDEN for form in _written_forms(secret)}
        # The longest first: a secret that is the beginning of another one must not leave the rest of it.
        self._forms = sorted(forms | set(self._forms), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        """Return the line with every secret masked."""
        for form in self._forms:
            line = line.replace(form, _MASK)
        return without_url_passwords(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts` (UTC), `level`, `event`, `logger`, the fields, and `traceback` if there is one.

    `always` are fields of every line.
    """

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact
        self.always: dict[str, Any] = {}

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": _timestamp(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **self.always,
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._redact(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """One readable line: time of day, level, event, and the fields as `name=value`; a traceback below it."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    @override
    def format(self, record: logging.LogRecord) -> str:
        clock = _timestamp(record).astimezone().strftime("%H:%M:%S")
        fields = "".join(f" {name}={_quoted(value)}" for name, value in fields_of(record).items())
        line = f"{clock} {record.levelname.lower():<7} {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self._redact(line)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the moment of the event: a progress bar replaces it while it runs."""

    def __init__(self, redact: Redactor) -> None:
        logging.Handler.__init__(self)
        self.redact = redact

    @property
    def stream(self) -> TextIO:
        """The stderr of this moment."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError("the stream is always stderr")


def configure_logging(style: str, level: str, secrets: Sequence[str]) -> None:
    """Send the program's events to stderr; called again, the new way takes the place of the old one.

    Args:
        style: `json`, `text`, or `auto`: text when stderr is a terminal, else JSON.
        level: the least level that is logged, `debug` to `error`.
        secrets: values that must not be in any line.
    """
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    redact = Redactor(secrets)
    handler = StderrHandler(redact)
    handler.setFormatter(TextFormatter(redact) if as_text else JsonFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries log only their troubles: obstore would fill the log of a worker that waits.
    root.setLevel(logging.WARNING)
    # A connection that cannot be had is reported by whoever wanted it.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    for chatty in ("bec_orch", "stamina"):
        logging.getLogger(chatty).setLevel(level.upper())


def tell_always(**fields: Any) -> None:
    """Have every line of JSON hold these fields from now on: they tell the workers in one log apart."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.always.update(fields)


def hide(secret: str) -> None:
    """Leave out of every line from now on a secret that became known only after logs were set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrHandler):
            handler.redact.add([secret])


def redacted(text: str) -> str:
    """Take every known secret out of a text that goes elsewhere than into a log."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrHandler):
            text = handler.redact(text)
    return without_url_passwords(text)


def without_url_passwords(text: str) -> str:
    """Mask the passwords of all URLs in a text."""
    return _URL_PASSWORD.sub(rf"\1:{_MASK}@", text)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was logged as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _written_forms(secret: str) -> tuple[str, ...]:
    """Return what a secret looks like as it is, in a repr, in JSON, and as a repr within JSON."""
    in_repr = repr(secret)[1:-1]
    return secret, in_repr, json.dumps(secret)[1:-1], json.dumps(in_repr)[1:-1]


def _timestamp(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, dt.UTC)


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() for c in text) else text
