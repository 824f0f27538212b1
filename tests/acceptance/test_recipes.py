"""The recipes work: each block of docs/recipes.md is run as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.conftest import ROOT
from tests.support.servers.library import library, manifest

PAGES = ROOT / "samples" / "W1BEC001" / "I1BEC0001"
RECIPES = (ROOT / "docs" / "recipes.md").read_text("utf-8")
BLOCKS = {
    title: re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", RECIPES, re.DOTALL | re.MULTILINE)
}
# Much longer than any takes on a busy machine.
PATIENCE = 300.0


@pytest.fixture
def scans(plain_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with two pages in `scans/mybook`, and `bec` on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "bec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bec_orch.cli.main "$@"\n')
    (folder / "bec").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))
    return volume("scans/mybook", (2, 3))


@pytest.fixture
def tessdata(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The languages that the recipes name are installed."""
    monkeypatch.setenv("TESSDATA_PREFIX", str(shared_data / "models" / "tessdata"))


def volume(name: str, numbers: Sequence[int]) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True)
    for place, number in enumerate(numbers, start=1):
        shutil.copy(PAGES / f"I1BEC0001000{number}.jpg", folder / f"{place:04}.jpg")
    return folder


def run(block: str, *, code: int = 0) -> str:
    """Run a block's commands, each of which has to end well, but for the last one."""
    ended = subprocess.run(
        ["bash", "-e", "-c", block],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def test_every_block_has_a_test() -> None:
    assert {title: len(blocks) for title, blocks in BLOCKS.items()} == {
        "I have one folder": 2,
        "I have PDFs": 3,
        "It is on the web": 1,
        "I want text": 2,
        "How good is it": 1,
        "It stopped": 3,
    }


@pytest.mark.usefixtures("scans")
def test_i_have_one_folder() -> None:
    first, second = BLOCKS["I have one folder"]
    assert "scans/mybook" in run(first)
    assert Path("work/overlays/scans/mybook.jpg").exists()
    assert "2 pages: 2 ok" in run(second)


@pytest.mark.usefixtures("scans")
def test_i_have_pdfs() -> None:
    Path("books").mkdir()
    pages = [Image.open(PAGES / f"I1BEC0001000{number}.jpg").convert("L").reduce(2) for number in (2, 3)]
    pages[0].save("books/mybook.pdf", save_all=True, append_images=pages[1:], resolution=300.0)
    usual, fine, _ = BLOCKS["I have PDFs"]
    assert "2 pages: 2 ok" in run(usual)
    assert "books/mybook" in run(fine)


@pytest.mark.usefixtures("scans")
def test_i_have_a_tiff_of_many_pages() -> None:
    pages = [Image.open(PAGES / f"I1BEC0001000{number}.jpg").convert("L").reduce(2) for number in (2, 3)]
    Path("bundle").mkdir()
    pages[0].save("bundle/all.tif", save_all=True, append_images=pages[1:])
    rows = [line.split() for line in run(BLOCKS["I have PDFs"][2]).splitlines()]
    (volume,) = [row for row in rows if row and row[0].endswith("/bundle")]
    assert volume[1:3] == ["done", "2"]


@pytest.mark.usefixtures("scans")
def test_it_is_on_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    with library() as server:
        url = f"{server.url}/manifest.json"
        server.things["/manifest.json"] = json.dumps(manifest(url, [f"{server.url}/1.jpg"], services=None)).encode()
        server.things["/1.jpg"] = (PAGES / "I1BEC00010002.jpg").read_bytes()
        monkeypatch.setenv("MANIFEST", url)
        assert "127.0.0.1/" in run(BLOCKS["It is on the web"][0])


@pytest.mark.usefixtures("scans", "tessdata")
def test_i_want_text_and_how_good_is_it(shared_data: Path) -> None:
    first, second = BLOCKS["I want text"]
    text = run(first).rpartition("Next:")[2]
    assert "་" in text
    if not (shared_data / "models" / "tessdata" / "eng.traineddata").exists():
        second = "\n".join(line for line in second.splitlines() if '"eng"' not in line)
    run(second)
    assert Path("documents/scans/mybook/scans-mybook.pdf").exists()
    Path("truth").mkdir()
    Path("truth/0001.txt").write_text("བཀྲ་ཤིས།\n", "utf-8")
    assert "Character error rate" in run(BLOCKS["How good is it"][0])
    assert "<del>" in Path("report.html").read_text("utf-8")


@pytest.mark.usefixtures("scans", "tessdata")
def test_it_stopped() -> None:
    first, second, third = BLOCKS["It stopped"]
    run(first)
    assert "Nothing to do" in run(first)
    run(second)
    torn = volume("torn/leaves", (2, 3, 4))
    (torn / "0002.jpg").write_bytes((torn / "0002.jpg").read_bytes()[:5000])
    assert "torn/leaves" in run(third.splitlines()[0], code=3)
    run(third.splitlines()[1], code=3)
