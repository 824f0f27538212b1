"""What the options before the command said, shared by every command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import typer

from bec_orch.cli.arguments.earlier import VARIABLES
from bec_orch.cli.process.interrupts import INTERRUPTS
from bec_orch.cli.terminal.console import warn
from bec_orch.core import fault_points
from bec_orch.settings.config import LoadedSettings, Settings, closest, known_secrets, load_settings
from bec_orch.settings.logging_setup import configure_logging


@dataclass
class Invocation:
    """One run of the program. Settings are read when a command first asks for them: `--help` never fails on them."""

    debug: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def loaded(self) -> LoadedSettings:
        """The settings with their origins; logs go where they say from now on."""
        loaded = load_settings(self.flags)
        for name in loaded.unknown:
            meant = closest(name)
            hint = VARIABLES.get(name) or (f"Did you mean {meant}?" if meant else "See `bec config show`.")
            warn(f"{name} is set, but not a setting.", hint)
        prepare(loaded.settings, "error")
        return loaded

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.loaded.settings


def start_logging(settings: Settings, level: str) -> None:
    """Log as the settings say, from this level on if they name none."""
    configure_logging(settings.log_format, settings.log_level or level, known_secrets(settings))


def prepare(settings: Settings, level: str) -> None:
    """Make this process log as the settings say, end within their grace, and arm the faults that they name."""
    start_logging(settings, level)
    INTERRUPTS.grace = settings.grace_seconds
    fault_points.arm(settings.failpoint or "")


def invocation(ctx: typer.Context) -> Invocation:
    """Return the invocation that `main` put into the context."""
    return ctx.ensure_object(Invocation)
