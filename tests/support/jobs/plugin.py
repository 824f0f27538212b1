"""Installs job types of the tests as a user would: as a package with entry points, in a folder of its own."""

import tomllib
import zipfile
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


def wheel(package: Path, folder: Path) -> Path:
    """Make the wheel of a package of one module from its `pyproject.toml`, as its build backend would."""
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    points = [
        f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    files = {
        f"{name}.py": (package / f"{name}.py").read_text("utf-8"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "".join(points),
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return made
