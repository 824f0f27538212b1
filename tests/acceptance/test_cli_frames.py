"""Files of several pictures, from their scans to their documents: `frames` of `bec run`."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.acceptance.conftest import ROOT, Bec, documents, ok

PAGES = ROOT / "samples" / "W1BEC001" / "I1BEC0001"
NAMES = ["a.jpg", "b.tif", "b.tif#2", "c.jpg"]


def page(number: int) -> Image.Image:
    with Image.open(PAGES / f"I1BEC0001000{number}.jpg") as image:
        return image.convert("L").reduce(2)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans" / "W1" / "I1"
    folder.mkdir(parents=True)
    page(1).save(folder / "a.jpg")
    page(2).save(folder / "b.tif", save_all=True, append_images=[page(3)], compression="tiff_lzw")
    page(4).save(folder / "c.jpg")
    return tmp_path / "scans"


def test_every_picture_of_a_file_is_a_row_to_be_seen_drawn_and_exported(bec: Bec, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    frames = ("--config-text", json.dumps({"frames": "all"}))
    run = ok(bec("run", "ldv1", scans, "--out", out, "--overlay", "--json", *frames)).json
    assert (run["pages"]["ok"], run["counters"]["further_frames"], run["counters"]["unread_frames"]) == (4, 1, 0)
    (file,) = out.rglob("W1-I1-*.a1-*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [row["img_file_name"] for row in rows] == NAMES
    assert [(row["width"], row["height"]) for row in rows[1:3]] == [page(2).size, page(3).size]
    assert rows[1]["contours"] != rows[2]["contours"]

    at_home = ("--home", out)
    (found,) = ok(bec(*at_home, "pages", "W1/I1", "--json")).json
    assert [(one["page"], one["img_file_name"]) for one in found["pages"]] == [
        (1, "a.jpg"),
        (2, "b.tif"),
        (2, "b.tif#2"),
        (3, "c.jpg"),
    ]
    shown = ok(bec(*at_home, "show", "W1/I1", "2"))
    assert [line for line in shown.out.splitlines() if line.startswith("ldv1")] == [
        "ldv1  W1/I1  page 2 of 3  b.tif: ok",
        "ldv1  W1/I1  page 2 of 3  b.tif#2: ok",
    ]
    pictures = ok(bec(*at_home, "show", "W1/I1", "2", "--json")).json["pictures"]
    assert [len(one["content"]["content"]["lines"]) for one in pictures] == [
        len(set(row["line_ids"])) for row in rows[1:3]
    ]
    assert bec(*at_home, "show", "W1/I1", "4").err.endswith("It has 3 pages.\n")
    ok(bec(*at_home, "audit", "--deep"))
    documents = tmp_path / "documents"
    ok(bec(*at_home, "export", "ldv1", "--format", "page,pdf", "--out", documents))
    assert sorted(path.name for path in documents.rglob("*.xml")) == ["a.xml", "b#2.xml", "b.xml", "c.xml"]
    assert (documents / "W1" / "I1" / "W1-I1.pdf").read_bytes().count(b"/MediaBox") == 4

    # The same command finds all of it done; asked for the first alone, it is other work.
    assert ok(bec("run", "ldv1", scans, "--out", out, "--json", *frames)).json["pages_per_second"] is None
    again = bec("run", "ldv1", scans, "--out", out, "--json")
    assert again.code == 3
    assert (again.json["pages"]["ok"], again.json["counters"]["unread_frames"]) == (3, 1)
    ok(bec(*at_home, "audit", "--deep"))
    plain = bec("run", "ldv1", scans, "--out", out)
    assert plain.code == 3
    assert "pictures after a file's first are not done: 1." in plain.err
    assert """`--config-text '{"frames": "all"}'`""" in plain.err
    (header, *_) = [line for line in ok(bec(*at_home, "pages", "W1/I1")).out.splitlines() if "file" in line]
    assert header.split() == ["page", "file", "state", "lines", "pictures", "left", "code", "message"]
    (found,) = ok(bec(*at_home, "pages", "W1/I1", "--json")).json
    assert [one["figures"]["pictures left"] for one in found["pages"]] == [None, 1, None]
    # Who says so leaves them out.
    asked = ok(bec("run", "ldv1", scans, "--out", out, "--config-text", '{"frames": "first"}'))
    assert "pictures after" not in asked.err


def test_what_the_config_says_of_pictures_holds_for_the_jobs_before(
    bec: Bec, scans: Path, shared_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = json.dumps({"frames": "all", "tessdata": str(shared_data / "models" / "tessdata")})
    run = ok(bec("run", "ocrv1", scans, "--out", out, "--overlay", "--json", "--config-text", config)).json
    assert (run["pages"]["ok"], run["counters"]["further_frames"]) == (4, 1)
    jobs = {job["name"]: job["config"]["frames"] for job in ok(bec("--home", out, "jobs", "list", "--json")).json}
    assert jobs == {"ldv1": "all", "ocrv1": "all"}
    # Later jobs do the pictures that there are, whatever their own config says.
    truth = tmp_path / "truth" / "W1" / "I1"
    truth.mkdir(parents=True)
    for name in ("a", "b", "b#2", "d#2"):
        (truth / f"{name}.txt").write_text("བཀྲ་ཤིས།", "utf-8")
    ok(
        bec(
            "--home",
            out,
            "jobs",
            "create",
            "eval",
            "--type",
            "evalv1",
            "--depends-on",
            "ocrv1",
            "--config-text",
            json.dumps({"truth_url": (tmp_path / "truth").as_uri()}),
        )
    )
    ok(bec("--home", out, "queue", "enqueue", "eval", "--volume", "W1/I1", "--source", f"folder+{scans.as_uri()}"))
    ok(bec("--home", out, "worker", "--job", "eval", "--until-empty"))
    report = ok(bec("--home", out, "eval", "report", "eval", "--html", tmp_path / "report.html", "--json")).json
    assert (report["pages"]["ok"], report["sums"]["has_truth"], report["sums"]["nb_unmatched_truth"]) == (4, 3, 1)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<img ") >= 3
    assert "no picture" not in page
    assert "b.tif#2" in page


@pytest.fixture
def read(bec: Bec, scans: Path, tmp_path: Path) -> Path:
    """The documents of a run that read every picture, of files of one base name and of a damaged picture, too."""
    folder = scans / "W1" / "I1"
    page(3).save(folder / "b.jpg")
    page(1).save(folder / "d.tif", save_all=True, append_images=[page(2), page(3)], compression="tiff_adobe_deflate")
    with Image.open(folder / "d.tif") as image:
        image.seek(1)
        (start, *_) = image.tag_v2[273]  # type: ignore[attr-defined]
    data = bytearray((folder / "d.tif").read_bytes())
    data[start + 6] ^= 0xFF
    (folder / "d.tif").write_bytes(data)
    frames = ("--config-text", '{"frames": "all"}', "--max-page-error-rate", "0.5")
    ended = bec("run", "ocrv1", scans, "--out", tmp_path / "out", "--export", "alto,page", *frames)
    assert (ended.code, "page 5 'd.tif#2': E_IMAGE_CORRUPT" in ended.err) == (3, True), ended.err
    return tmp_path / "out" / "exports" / "ocrv1"


@pytest.mark.timeout(180)
def test_documents_of_pictures_come_back_and_go_out_the_same(bec: Bec, scans: Path, read: Path, tmp_path: Path) -> None:
    first = documents(read)
    names = ("a", "b.jpg", "b.tif", "b.tif#2", "c", "d", "d#2", "d#3")
    assert first.keys() == {f"W1/I1/{form}/{name}.xml" for form in ("alto", "page") for name in names}
    at_home = ("--home", tmp_path / "out")
    for name in ("alto", "page"):
        run = ok(bec(*at_home, "import", name, "--format", name, "--from", read, "--json")).json
        assert (run["pages"]["ok"], run["counters"]["further_frames"], run["unmatched_documents"]) == (8, 3, 0)
        ok(bec(*at_home, "export", name, "--format", "alto,page", "--out", tmp_path / name))
        assert documents(tmp_path / name) == first

    # Other jobs do the pictures that were imported, whatever their own config says.
    lenient = ("--max-page-error-rate", "0.5")
    ok(bec(*at_home, "jobs", "create", "again", "--type", "ocrv1", "--depends-on", "page", *lenient))
    ok(bec(*at_home, "jobs", "create", "judged", "--type", "evalv1", "--depends-on", "again"))
    where = ("--volume", "W1/I1", "--source", f"folder+{scans.as_uri()}")
    ok(bec(*at_home, "queue", "enqueue", "judged", "--with-dependencies", *where))
    for job in ("again", "judged"):
        ok(bec(*at_home, "worker", "--job", job, "--until-empty"))
    states = {
        found["job"]: {one["img_file_name"]: one["state"] for one in found["pages"]}
        for found in ok(bec(*at_home, "pages", "W1/I1", "--json")).json
    }
    assert [name for name, state in states["page"].items() if state == "ok"] == list(states["again"])
    assert states["again"] == {**states["page"], "d.tif#2": "error"}
    assert states["judged"] == {**states["page"], "d.tif#2": "skipped"}


@pytest.mark.timeout(180)
def test_corrections_of_pictures_come_back_and_what_is_of_none_is_told(bec: Bec, read: Path, tmp_path: Path) -> None:
    at_home, folder = ("--home", tmp_path / "out"), tmp_path / "mine" / "W1" / "I1"
    shutil.copytree(read / "W1" / "I1" / "page", folder)
    take = ("import", "mine", "--format", "page", "--from", tmp_path / "mine", "--max-page-error-rate", "0.5")
    ok(bec(*at_home, *take))
    page_2 = folder / "b.tif#2.xml"
    text = page_2.read_text("utf-8")
    line = text.partition("<Unicode>")[2].partition("</Unicode>")[0]
    page_2.write_text(text.replace(line, "བཅོས།", 1), "utf-8")
    (folder / "d.xml").unlink()
    shutil.copy(folder / "a.xml", folder / "c#101.xml")
    (folder / "c#2.xml").write_text((folder / "c.xml").read_text("utf-8").replace("c.jpg", "elsewhere.jpg"), "utf-8")
    page_2.with_name("d#3.xml").write_text(text, "utf-8")
    ended = bec(*at_home, *take, "--json")
    assert (ended.code, ended.json["unmatched_documents"]) == (3, 1)
    assert "1 document is named like no page, and left out: 'W1/I1/c#101.xml'." in ended.err
    assert "that of the second picture of a file like scan#2.xml." in ended.err
    (found,) = [one for one in ok(bec(*at_home, "pages", "W1/I1", "--json")).json if one["job"] == "mine"]
    assert [(one["img_file_name"], one["state"], one["code"]) for one in found["pages"]] == [
        ("a.jpg", "ok", None),
        ("b.jpg", "ok", None),
        ("b.tif", "ok", None),
        ("b.tif#2", "ok", None),
        ("c.jpg", "ok", None),
        ("c.jpg#2", "error", "E_IMAGE_FRAME"),
        ("d.tif", "skipped", None),
        ("d.tif#2", "ok", None),
        ("d.tif#3", "error", "E_DOCUMENT_OTHER_PAGE"),
    ]
    bec(*at_home, "export", "mine", "--format", "txt", "--level", "page", "--out", tmp_path / "texts")
    assert (tmp_path / "texts" / "W1" / "I1" / "txt" / "b.tif#2.txt").read_text("utf-8").startswith("བཅོས།\n")
