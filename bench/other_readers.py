"""Exports the true text of the samples, has programs of others read the documents, and compares what they read.

    python -m bench.other_readers [--reader NAME ..] [--job JOB --home DIR] [--environments DIR]

Lines, outlines, baselines and texts have to be those that were exported, page by page and in order; pages that were
skipped or broken are among them. The exit code is 1 if anything is not. Each reader has a virtual environment of its
own, which is made at the first run (under `build/readers` by default): their pins do not go together, nor with ours.
kraken brings torch: 3 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEC = (sys.executable, "-P", "-m", "bec_orch.cli.main")
FORMATS = "alto,page,hocr,iiif,jsonl"
_SHOWN = 20


@dataclass(frozen=True)
class Reader:
    """A program that reads documents: its script, what is installed for it, and which documents it reads."""

    script: str
    package: str
    documents: Mapping[str, str]


READERS = {
    "ocrd": Reader("with_ocrd", "ocrd==3.13.3", {"page": "*/*/page/*.xml"}),
    "kraken": Reader("with_kraken", "kraken==7.1.1", {"alto": "*/*/alto/*.xml", "page": "*/*/page/*.xml"}),
    "archive-hocr-tools": Reader("with_archive_hocr", "archive-hocr-tools==1.1.70", {"hocr": "*/*/hocr/*.hocr"}),
    "iiif-prezi3": Reader("with_prezi3", "iiif-prezi3==3.1.1", {"iiif": "*/*/*.json"}),
}


def python_of(reader: Reader, environments: Path) -> Path:
    """Return the Python of a reader's environment, which is made where it is not there."""
    folder = environments / reader.script
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", reader.package], check=True)  # noqa: S603  (the pins above)
        (folder / "whole").touch()
    return python


def documents_of(out: Path, pattern: str) -> list[Path]:
    """Return the documents of a format, without the records of the export."""
    return sorted(path for path in out.glob(pattern) if not path.name.startswith("export-"))


def exported(out: Path) -> dict[str, dict[str, Any]]:
    """Return the pages that were exported, by image, from the JSON lines."""
    found = {}
    for file in out.glob("*/*/*.jsonl"):
        _, *pages = map(json.loads, file.read_text("utf-8").splitlines())
        found.update({page["image"]: page for page in pages})
    return found


def differences(read: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tell where what a program read of a page is not what was exported. What it does not tell is not compared."""
    if len(read) != len(lines):
        yield f"{len(read)} lines in place of {len(lines)}"
        return
    for number, (found, line) in enumerate(zip(read, lines, strict=True), start=1):
        if (found["text"] or "").strip() != (line["text"] or "").strip():
            yield f"line {number}: the text is {found['text']!r}"
        for key in ("polygon", "baseline"):
            if key in found and _open(found[key]) != _open(line[key]):
                yield f"line {number}: the {key} is {found[key]}"
        if "box" in found and [round(value) for value in found["box"]] != _box(line["polygon"]):
            yield f"line {number}: the box is {found['box']}"


def _open(points: Sequence[Sequence[float]]) -> list[list[int]]:
    """Return points as whole numbers, without a last one that closes them."""
    found = [[round(value) for value in point] for point in points]
    return found[:-1] if len(found) > 1 and found[0] == found[-1] else found


def _box(polygon: Sequence[Sequence[int]]) -> list[int]:
    left, top, right, bottom = (of(point[axis] for point in polygon) for of in (min, max) for axis in (0, 1))
    return [left, top, right + 1, bottom + 1]


def faults_of(told: Sequence[Mapping[str, Any]], pages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Tell where what a program read is not what was exported; a page without a size (and lines) may be refused."""
    if len(told) != len(pages):
        yield f"{len(told)} pages in place of {len(pages)}"
    for page in told:
        if "refused" not in page:
            yield from (f"{page['image']}: {one}" for one in differences(page["lines"], pages[page["image"]]["lines"]))
        elif not any(Path(name).stem == page["document"] and one["width"] is None for name, one in pages.items()):
            yield f"{page['document']}: {page['refused']}"


def compare(name: str, out: Path, environments: Path) -> bool:
    """Have one program read all documents of its formats, print what came of it, and return whether all is equal."""
    reader, pages, good = READERS[name], exported(out), True
    script = ROOT / "bench" / "readers" / f"{reader.script}.py"
    for what, pattern in reader.documents.items():
        command = [python_of(reader, environments), script, *documents_of(out, pattern)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603  (as above)
        faults = list(faults_of(told, pages))
        read = [page for page in told if "refused" not in page]
        lines, ends = sum(len(page["lines"]) for page in read), "differs" if faults else "equal"
        refused = f", {len(told) - len(read)} without a size refused" if len(told) > len(read) else ""
        print(f"{reader.package:28} {what:5} {len(read):5} pages {lines:6,} lines  {ends}{refused}")
        print("".join(f"    {fault}\n" for fault in faults[:_SHOWN]), end="")
        good = good and not faults
    return good


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=READERS, help="one of them; may be given again")
    parser.add_argument("--home", type=Path, help="a workspace, in place of the samples")
    parser.add_argument("--job", default="truth", help="the job of that workspace")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "readers")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bec-bench-") as folder:
        out, home = Path(folder) / "out", str(asked.home or Path(folder) / "home")
        if asked.home is None:
            _run("--home", home, "jobs", "create", "ldv1")  # which makes the workspace
            truth = ("--from", str(ROOT / "samples" / "truth"), "--source", f"folder+{(ROOT / 'samples').as_uri()}")
            _run("--home", home, "import", asked.job, "--format", "alto", *truth)
        _run("--home", home, "export", asked.job, "--format", FORMATS, "--out", str(out))
        good = [compare(name, out, asked.environments) for name in asked.reader or READERS]
    sys.exit(not all(good))


def _run(*words: str) -> None:
    # 3: pages that are errors have documents, too.
    ended = subprocess.run([*BEC, *words], check=False, stdout=subprocess.DEVNULL)  # noqa: S603  (the program is ours)
    if ended.returncode not in {0, 3}:
        sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
