"""BEC Orchestration: page jobs over scanned volumes, with every page accounted for."""

from importlib.metadata import version

__version__ = version("bec-orch")
