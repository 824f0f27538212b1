"""Installs job types of the tests as a user would: as a package with entry points, in a folder of its own."""

from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: bec-test-jobs\nVersion: 1.0\n"


def install(folder: Path, job_types: dict[str, str], **modules: str) -> Path:
    """Make a folder for the import path, with job types (name -> `module:Class`) and modules (name -> code)."""
    info = folder / "bec_test_jobs-1.0.dist-info"
    info.mkdir(parents=True)
    points = "".join(f"{name} = {target}\n" for name, target in job_types.items())
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(f"[bec_orch.jobs]\n{points}")
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    return folder
