"""BEC Orchestration: page jobs over scanned volumes, with every page accounted for."""

__version__: str


def __getattr__(name: str) -> str:
    # Looked up when asked for: what reads a package's metadata takes longer to import than a Ctrl-C may have to wait.
    if name != "__version__":
        raise AttributeError(f"module 'bec_orch' has no attribute '{name}'")
    from importlib.metadata import version  # noqa: PLC0415

    return version("bec-orch")
