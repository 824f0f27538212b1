"""`bec` as a process of its own, whose log is read while it runs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

# Nothing waits so long but on a machine that has far more to do than it can: what is waited for comes as an event.
PATIENCE = 300.0


class NotInjectedError(Exception):
    """The fault never came: the schedule is wrong, or the code does not pass its point any more."""


class Process:
    """One call of `bec`. What it says is kept; each line of its log that is JSON is an event.

    Args:
        arguments: the command.
        environment: all of its environment.
        before: words before the program itself (`nice`, `prlimit`).
    """

    def __init__(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], before: tuple[str, ...] = ()
    ) -> None:
        command = [*before, sys.executable, "-m", "bec_orch.cli.main", *arguments]
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.arguments = arguments
        self.said: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for(self, event: str, seconds: float = PATIENCE, **fields: str) -> dict[str, Any]:
        """Wait until it logs an event with these fields, and return it.

        Raises:
            NotInjectedError: it never did.
        """
        wanted = {"event": event, **fields}
        give_up = time.monotonic() + seconds
        with self._heard:
            while True:
                ended = not self._reader.is_alive()
                for seen in self.events:
                    if wanted.items() <= seen.items():
                        return seen
                if ended or time.monotonic() > give_up:
                    raise NotInjectedError(f"{wanted} was never logged: {self.log()[-2000:]}")
                self._heard.wait(0.5)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; it may have ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to all of its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill_group(self) -> None:
        """Kill it with all of its children, as a machine that is switched off does."""
        self.signal_group(signal.SIGKILL)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return its exit code; one that hangs is killed, and returns -9."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_group()
            code = self._process.wait()
        self._reader.join(5)
        return code

    def ended_well(self, code: int) -> bool:
        """Return whether an exit code is one that a fault may lead to: done, something failed, interrupted, killed."""
        # A signal ends Python at once before the program listens to it.
        early = code == -signal.SIGTERM and not self.events
        return early or code in {0, 1, 130, -signal.SIGINT, -signal.SIGKILL}

    def log(self) -> str:
        """Return all that it said."""
        return "".join(self.said)

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                with self._heard:
                    self.said.append(line)
                    with suppress(ValueError):
                        event = json.loads(line)
                        if isinstance(event, dict):
                            self.events.append(event)
                    self._heard.notify_all()
