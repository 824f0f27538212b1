"""`bec export` and `bec import`: documents out of a job's results, and back, as people type it."""

import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from bec_orch.exports.reading import read_document
from tests.acceptance.conftest import ROOT, Bec, Start, documents, ok, write_scans
from tests.schemas import schema
from tests.support.servers.aws import Aws

TRUTH = ROOT / "samples" / "truth"
SAMPLES = f"folder+{(ROOT / 'samples').as_uri()}"
ONE = "W1BEC001/I1BEC0001"
SUFFIXES = {
    "txt": "W1BEC001-I1BEC0001.txt",
    "alto": "alto/I1BEC00010003.xml",
    "page": "page/I1BEC00010003.xml",
    "hocr": "hocr/I1BEC00010003.hocr",
    "iiif": "W1BEC001-I1BEC0001.json",
    "jsonl": "W1BEC001-I1BEC0001.jsonl",
    "pdf": "W1BEC001-I1BEC0001.pdf",
}
NOT_EXPORTED = (
    (("nope", "--format", "txt"), "error E_JOB_UNKNOWN: There is no job 'nope'."),
    (("truth", "--format", "docx"), "error E_EXPORT_FORMAT: There is no format 'docx'."),
    (("truth", "--format", ","), "error E_EXPORT_FORMAT: "),
    (("truth", "--format", "page", "--level", "volume"), "error E_EXPORT_LEVEL: "),
    (("truth", "--format", "txt", "--volume", "W1BEC001/../x"), "error E_NAME_UNSAFE: "),
    (("truth", "--format", "txt", "--volume", "W8/I8"), "error E_EXPORT_VOLUME: "),
    (("truth", "--format", "txt", "--out", "ftp://x/y"), "error E_STORAGE_URL: "),
    (("truth", "--format", "txt", "--out", ""), "error E_USAGE: An empty text names no file or folder."),
    (("truth", "--format", "txt", "--source", ""), "error E_USAGE: An empty text names no file or folder."),
    (("toy", "--format", "txt"), "error E_EXPORT_TYPE: The job 'toy' is of type toy, which has no lines"),
    (("empty", "--format", "txt"), "error E_EXPORT_NOTHING: No volume is done by the job 'empty'."),
)
NOT_IMPORTED = (
    (("new", "--format", "alto", "--from", "nothing"), "error E_IMPORT_NOTHING: "),
    (("new", "--format", "alto", "--from", "missing"), "error E_STORAGE_MISSING: "),
    (("new", "--format", "alto", "--from", "truth", "--volume", "W8/I8"), "error E_IMPORT_NOTHING: "),
    (("new", "--format", "alto", "--from", "truth"), "error E_SOURCE_UNSET: "),
    (("new", "--format", "alto", "--from", "truth", "--source", ""), "error E_USAGE: "),
    (("toy", "--format", "alto", "--from", "truth", "--source", SAMPLES), "error E_IMPORT_JOB: "),
)

IMPORT = ("import", "truth", "--format", "alto", "--from")

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TRUTH, tmp_path / "truth"))


@pytest.fixture
def imported(bec: Bec, home: Path, truth: Path) -> Path:
    """The truth of the samples, as the results of the job `truth`; returns the home."""
    ok(bec("import", "truth", "--format", "alto", "--from", truth, "--source", SAMPLES))
    return home


def exported(bec: Bec, job: str, out: Path, formats: str = "alto,page", *more: str) -> Path:
    ok(bec("export", job, "--format", formats, "--out", out, *more))
    return out


def test_a_volume_that_two_sources_have_is_told_of(bec: Bec, imported: Path, truth: Path, tmp_path: Path) -> None:
    del imported
    copy = shutil.copytree(ROOT / "samples" / ONE, tmp_path / "copy" / ONE).parents[1]
    export = ("export", "truth", "--format", "txt", "--volume", ONE, "--json", "--out")
    assert ok(bec(*export, tmp_path / "docs")).json["warnings"] == []
    os.utime(copy / ONE / "I1BEC00010001.jpg", (1, 1))
    ok(bec(*IMPORT, truth, "--source", f"folder+{copy.as_uri()}", "--volume", ONE))
    (told,) = ok(bec(*export, tmp_path / "others")).json["warnings"]
    assert told.startswith(f"{ONE} is done from other sources, too, which have other pictures")
    assert copy.as_uri() in told


def test_what_goes_out_and_comes_back_goes_out_the_same(bec: Bec, imported: Path, tmp_path: Path) -> None:
    first = exported(bec, "truth", tmp_path / "first")
    assert len(documents(first)) == 2 * 18
    for name in ("alto", "page"):
        ok(bec("import", f"from-{name}", "--format", name, "--from", first))
        assert documents(exported(bec, f"from-{name}", tmp_path / name)) == documents(first)


def test_documents_of_other_pictures_are_told_of(bec: Bec, imported: Path, tmp_path: Path) -> None:
    del imported
    first = exported(bec, "truth", tmp_path / "first", "alto", "--volume", ONE)
    taken = ("import", "again", "--format", "alto", "--from", first, "--volume", ONE)
    assert "exported from another version" not in ok(bec(*taken, "--source", SAMPLES)).err
    copy = shutil.copytree(ROOT / "samples" / ONE, tmp_path / "copy" / ONE).parents[1]
    pages = copy / ONE
    (pages / "I1BEC00010001.jpg").write_bytes((pages / "I1BEC00010002.jpg").read_bytes())
    told = ok(bec(*taken, "--source", f"folder+{copy.as_uri()}")).err
    assert f"warning: The documents of {ONE} were exported from another version of it" in told


def test_every_document_of_the_samples_is_accepted_by_its_schema(
    bec: Bec, imported: Path, tmp_path: Path, shared_data: Path
) -> None:
    etree = pytest.importorskip("lxml.etree")
    files = sorted(exported(bec, "truth", tmp_path / "out").rglob("*.xml"))
    schemas = {
        name: schema(shared_data / "schemas", file)
        for name, file in (("alto", "alto-4-4.xsd"), ("page", "page-2019-07-15.xsd"))
    }
    for file in files:
        schemas[file.parent.name].assertValid(etree.parse(str(file)))
    assert len(files) == 36


def test_every_format_is_written_once_and_says_how_it_was_made(bec: Bec, imported: Path) -> None:
    formats = ",".join(SUFFIXES)
    first = ok(bec("export", "truth", "--format", formats, "--volume", ONE, "--json")).json
    folder = imported / "exports" / "truth" / ONE
    assert first["destination"] == folder.parents[1].as_uri()
    assert [(one["documents"], one["skipped"], one["pages"]) for one in first["volumes"]] == [(31, 0, 9)]
    (success,) = (imported / "artefacts" / "truth" / ONE).glob("*/success.json")
    digest = json.loads(success.read_text())["files"][0]["sha256"]
    for name, file in SUFFIXES.items():
        record = json.loads(next(folder.glob(f"export-{name}-*.json")).read_text())
        assert ["artefact sha256", digest] in record["made_with"]
        if name not in {"txt", "pdf"}:
            assert digest in (folder / file).read_text("utf-8"), name
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    again = ok(bec("export", "truth", "--format", formats, "--volume", ONE, "--json")).json
    assert [(one["documents"], one["skipped"]) for one in again["volumes"]] == [(0, 31)]
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def test_a_correction_comes_back_and_no_export_writes_over_it(bec: Bec, imported: Path, tmp_path: Path) -> None:
    out = exported(bec, "truth", tmp_path / "out", "alto,txt")
    ok(bec("import", "corrected", "--format", "alto", "--from", out))
    page = out / ONE / "alto" / "I1BEC00010003.xml"
    line = read_document(page.read_bytes(), "alto").lines[0]
    assert line.text
    page.write_bytes(page.read_bytes().replace(line.text.encode(), "བཅོས།".encode()))

    ok(bec("export", "truth", "--format", "alto", "--out", out))
    assert read_document(page.read_bytes(), "alto").lines[0].text == "བཅོས།"
    again = ok(bec("import", "corrected", "--format", "alto", "--from", out, "--json")).json
    assert {task["volume"]["i_id"]: task["attempt"] for task in again["tasks"]} == {"I1BEC0001": 2, "I1BEC0002": 1}
    text = exported(bec, "corrected", tmp_path / "corrected", "txt") / ONE / SUFFIXES["txt"]
    assert "བཅོས།" in text.read_text("utf-8")

    # Another artefact: what was changed stays, all else is written anew.
    ok(bec("import", "truth", "--format", "alto", "--from", tmp_path / "truth", "--force"))
    refused = bec("export", "truth", "--format", "alto", "--out", out)
    assert refused.code == 2
    assert f"failed {ONE}: E_FILE_FOREIGN: The file {ONE}/alto/I1BEC00010003.xml in" in refused.err
    assert "hint: Take corrections over with `bec import`, move it away" in refused.err
    text.write_text("mine")
    refused = bec("export", "truth", "--format", "txt", "--out", tmp_path / "corrected")
    assert refused.code == 2
    (hint,) = [line for line in refused.err.splitlines() if line.startswith("hint: ")]
    assert hint.startswith("hint: Move it away, or write over it with `")
    (command,) = re.findall(r"`bec (export .*)`", hint)
    ok(bec(*shlex.split(command)))
    assert "mine" not in text.read_text("utf-8")
    assert read_document(page.read_bytes(), "alto").lines[0].text == "བཅོས།"
    ok(bec("export", "truth", "--format", "alto", "--out", out, "--force"))
    assert read_document(page.read_bytes(), "alto").lines[0].text == line.text


def test_imported_text_can_be_evaluated(bec: Bec, imported: Path, truth: Path) -> None:
    config = json.dumps({"truth_url": truth.as_uri()})
    ok(bec("jobs", "create", "judged", "--type", "evalv1", "--depends-on", "truth", "--config-text", config))
    ok(bec("queue", "enqueue", "judged", "--volume", ONE, "--source", SAMPLES))
    ok(bec("run-volume", "judged", *ONE.split("/")))
    report = ok(bec("eval", "report", "judged", "--json")).json
    # Its documents tell the kinds of their lines, so that the margins are compared, too.
    assert report["sums"]["char_errors"] == 0 < report["sums"]["truth_chars"]


def test_an_artefact_that_is_gone_costs_no_other_volume(bec: Bec, imported: Path) -> None:
    shutil.rmtree(imported / "artefacts" / "truth" / ONE)
    ended = bec("export", "truth", "--format", "txt")
    assert ended.code == 1
    assert f"failed {ONE}: E_ARTEFACT_GONE: The artefact truth/{ONE}/" in ended.err
    assert len(list((imported / "exports" / "truth").rglob("*.txt"))) == 1


def test_an_artefact_whose_file_is_gone_is_told_with_what_to_do(bec: Bec, imported: Path) -> None:
    (parquet,) = (imported / "artefacts" / "truth" / ONE).rglob("*.a1-*.parquet")
    parquet.unlink()
    ended = bec("export", "truth", "--format", "txt")
    assert (ended.code, "E_ARTEFACT_GONE: The artefact's file truth/" in ended.err) == (1, True)
    assert "hint: `bec audit --deep` shows what else is lost; with `--fix`" in ended.err


def test_an_artefact_that_is_broken_costs_no_other_volume(bec: Bec, imported: Path) -> None:
    (parquet,) = (imported / "artefacts" / "truth" / ONE).rglob("*.a1-*.parquet")
    parquet.write_bytes(parquet.read_bytes()[:-20])
    ended = bec("export", "truth", "--format", "txt")
    assert (ended.code, "E_ARTEFACT_BROKEN" in ended.err) == (1, True)
    assert len(list((imported / "exports" / "truth").rglob("*.txt"))) == 1


def test_without_its_images_a_volume_loses_pictures_and_nothing_else(
    bec: Bec, home: Path, truth: Path, tmp_path: Path
) -> None:
    scans = Path(shutil.copytree(ROOT / "samples" / "W1BEC001", tmp_path / "scans" / "W1BEC001")).parent
    ok(
        bec(
            "import",
            "truth",
            "--format",
            "alto",
            "--from",
            truth,
            "--source",
            f"folder+{scans.as_uri()}",
            "--volume",
            ONE,
        )
    )
    (scans / "W1BEC001").rename(scans / "away")
    wanted, pdf = ("export", "truth", "--format", "pdf,iiif,page"), home / "exports" / "truth" / ONE / SUFFIXES["pdf"]
    ended = bec(*wanted)
    assert ended.code == 3
    assert f"warning: The images of {ONE} are out of reach: " in ended.err
    assert "has no picture" not in ended.err
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"/DCTDecode" not in pdf.read_bytes()
    (scans / "away").rename(scans / "W1BEC001")
    told = ok(bec(*wanted, "--json")).json["volumes"]
    assert [(one["documents"], one["lacking"]) for one in told] == [(1, 0)]
    assert b"/DCTDecode" in pdf.read_bytes()
    assert ok(bec(*wanted, "--json")).json["volumes"][0]["documents"] == 0
    # Another book by now: none of its pictures is taken for what was found.
    next((scans / ONE).glob("*3.jpg")).unlink()
    pdf.unlink()
    ended = bec(*wanted)
    assert ended.code == 3
    assert ended.err.count(f"warning: The images of {ONE} are left out: the volume is another version now: ") == 1
    assert b"/DCTDecode" not in pdf.read_bytes()


def test_a_job_that_is_half_done_exports_what_is_done(bec: Bec, imported: Path, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W9/I9": 1})
    ok(bec("queue", "enqueue", "truth", "--volume", "W9/I9", "--source", f"folder+{scans.as_uri()}"))
    ended = ok(bec("export", "truth", "--format", "txt"))
    assert "1 volume of the job is not done." in ended.err
    refused = bec("export", "truth", "--format", "txt", "--volume", "W9/I9")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error E_EXPORT_VOLUME: The volume W9/I9 is not done by the job 'truth'.")


@pytest.mark.timeout(180)
def test_a_failure_that_a_newer_task_made_good_is_not_counted(
    bec: Bec, home: Path, truth: Path, tmp_path: Path
) -> None:
    scans = Path(shutil.copytree(ROOT / "samples" / ONE, tmp_path / "scans" / ONE))
    page = truth / ONE / "I1BEC00010003.xml"
    whole = page.read_bytes()
    page.write_bytes(b"<alto>")
    source = f"folder+{(tmp_path / 'scans').as_uri()}"
    assert bec(*IMPORT, truth, "--source", source, "--volume", ONE).code == 1
    page.write_bytes(whole)
    shutil.copy(scans / "I1BEC00010003.jpg", scans / "new.jpg")
    ok(bec(*IMPORT, truth, "--volume", ONE))
    states = [task["state"] for task in ok(bec("jobs", "tasks", "truth", "--json")).json]
    assert sorted(states) == ["done", "terminal_failed"]
    assert ok(bec("export", "truth", "--format", "jsonl", "--json")).json["unfinished"] == 0


def test_a_thing_in_the_way_fails_its_volume_alone(bec: Bec, imported: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "W1BEC001").mkdir(parents=True)
    (tmp_path / "out" / ONE).write_text("a file in place of the volume's folder")
    pipe = tmp_path / "pipes" / ONE / "alto" / "I1BEC00010003.xml"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    for out, code in ("out", "E_STORAGE_NO_FOLDER"), ("pipes", "E_NOT_A_FILE"):
        ended = bec("export", "truth", "--format", "alto", "--out", tmp_path / out)
        assert (ended.code, f"failed {ONE}: {code}: " in ended.err) == (1, True), ended.err
        assert len(list((tmp_path / out / "W1BEC002").rglob("*.xml"))) == 9


def test_a_file_is_no_place_for_documents(bec: Bec, imported: Path, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("mine")
    for place in ("f.txt", "f.txt/below"):
        ended = bec("export", "truth", "--format", "txt", "--out", tmp_path / place)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(
            f"error E_STORAGE_NO_FOLDER: Could not open the folder {tmp_path / place}: a file is"
        )
        assert "hint: Name a folder with --out" in ended.err
    assert (tmp_path / "f.txt").read_text() == "mine"


def test_a_page_that_comes_back_has_its_document_again(bec: Bec, home: Path, truth: Path, tmp_path: Path) -> None:
    scans = Path(shutil.copytree(ROOT / "samples" / ONE, tmp_path / "scans" / ONE))
    page, away = scans / "I1BEC00010003.jpg", tmp_path / "away.jpg"
    source, out = f"folder+{(tmp_path / 'scans').as_uri()}", tmp_path / "out"
    ok(bec(*IMPORT, truth, "--source", source, "--volume", ONE))
    document = exported(bec, "truth", out, "alto") / ONE / SUFFIXES["alto"]
    first = document.read_bytes()
    page.rename(away)
    assert bec(*IMPORT, truth, "--source", source, "--volume", ONE).code == 3  # a document of no page
    exported(bec, "truth", out, "alto")
    assert document.read_bytes() == first
    away.rename(page)
    shutil.copy(page, scans / "new.jpg")
    ok(bec(*IMPORT, truth, "--source", source, "--volume", ONE))
    exported(bec, "truth", out, "alto")
    assert document.read_bytes() != first
    assert (document.parent / "new.xml").exists()


def test_text_of_lines_that_nobody_read_is_said_to_be_empty(bec: Bec, home: Path, truth: Path) -> None:
    for page in truth.rglob("*.xml"):
        page.write_text(re.sub("<String [^>]*>", "", page.read_text("utf-8")), "utf-8")
    ok(bec(*IMPORT, truth, "--source", SAMPLES))
    told = f"warning: {ONE}: nobody read its lines: the files of text are empty."
    assert told in ok(bec("export", "truth", "--format", "txt")).err
    assert told not in ok(bec("export", "truth", "--format", "jsonl")).err


def test_what_cannot_be_exported_is_refused(bec: Bec, imported: Path, truth: Path) -> None:
    ok(bec("jobs", "create", "toy"))
    config = json.dumps({"format": "alto", "documents_url": truth.as_uri()})
    ok(bec("jobs", "create", "empty", "--type", "importv1", "--config-text", config))
    for arguments, error in NOT_EXPORTED:
        ended = bec("export", *arguments)
        assert (ended.out, ended.code in {1, 2}) == ("", True), arguments
        assert ended.err.startswith(error)
    assert not (imported / "exports").exists()


def test_what_cannot_be_imported_is_refused(bec: Bec, home: Path, truth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (truth.parent / "nothing").mkdir()
    monkeypatch.chdir(truth.parent)
    ok(bec("jobs", "create", "toy"))
    for arguments, error in NOT_IMPORTED:
        ended = bec("import", *arguments)
        assert (ended.out, ended.code in {2, 6}) == ("", True), arguments
        assert ended.err.startswith(error)


def test_hostile_documents_are_page_errors_and_cost_nothing_else(bec: Bec, home: Path, truth: Path) -> None:
    folder = truth / ONE
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><alto>&b;</alto>'
    (folder / "I1BEC00010001.xml").write_bytes(bomb)
    (folder / "I1BEC00010002.xml").write_bytes(b"<PcGts/>")
    ended = bec(
        "import",
        "truth",
        "--format",
        "alto",
        "--from",
        truth,
        "--source",
        SAMPLES,
        "--volume",
        ONE,
        "--max-page-error-rate",
        "0.5",
    )
    assert ended.code == 3
    assert ended.err.count("E_DOCUMENT_BROKEN") >= 2
    assert bec("export", "truth", "--format", "alto").code == 3


def test_two_images_of_one_name_have_a_document_each(bec: Bec, home: Path, tmp_path: Path) -> None:
    scans, texts = tmp_path / "scans" / "W1" / "I1", tmp_path / "texts" / "W1" / "I1"
    texts.mkdir(parents=True)
    scans.mkdir(parents=True)
    for suffix in ("jpg", "png"):
        (scans / f"a.{suffix}").write_bytes(suffix.encode())
        line = f'<TextLine HPOS="1" VPOS="1" WIDTH="5" HEIGHT="5"><String CONTENT="{suffix}"/></TextLine>'
        page = f'<alto><Layout><Page WIDTH="9" HEIGHT="9"><TextBlock>{line}</TextBlock></Page></Layout></alto>'
        (texts / f"a.{suffix}.xml").write_text(page)
    source = f"folder+{(tmp_path / 'scans').as_uri()}"
    ok(bec("import", "two", "--format", "alto", "--from", tmp_path / "texts", "--source", source))
    out = exported(bec, "two", tmp_path / "out", "txt", "--level", "page") / "W1" / "I1" / "txt"
    assert {file.name: file.read_text() for file in out.iterdir()} == {"a.jpg.txt": "jpg\n", "a.png.txt": "png\n"}


def test_a_document_that_names_another_image_of_the_volume_is_a_page_error(
    bec: Bec, home: Path, truth: Path, tmp_path: Path
) -> None:
    folder = truth / ONE
    (folder / "I1BEC00010003.xml").replace(folder / "I1BEC00010004.xml")
    ended = bec(*IMPORT, truth, "--source", SAMPLES, "--volume", ONE, "--max-page-error-rate", "0.5")
    assert ended.code == 3
    assert "E_DOCUMENT_OTHER_PAGE" in ended.err


def test_a_document_of_another_size_is_a_page_error(bec: Bec, home: Path, truth: Path) -> None:
    page = truth / ONE / "I1BEC00010003.xml"
    page.write_text(re.sub(r'(<Page [^>]*WIDTH=")\d+', r"\g<1>77", page.read_text("utf-8")), "utf-8")
    ended = bec(*IMPORT, truth, "--source", SAMPLES, "--volume", ONE, "--max-page-error-rate", "0.5")
    assert ended.code == 3
    assert "E_PAGE_OTHER_SIZE: The image has " in ended.err


def test_documents_of_no_page_are_reported_and_counted(bec: Bec, home: Path, truth: Path) -> None:
    folder = truth / ONE
    wrong = [file.rename(folder / f"scan-{file.name}") for file in sorted(folder.glob("*.xml"))[:7]]
    ended = bec(*IMPORT, truth, "--source", SAMPLES, "--volume", ONE, "--json")
    assert (ended.code, ended.json["unmatched_documents"]) == (3, 7)
    assert "7 documents are named like no page" in ended.err
    assert f"{ONE}/{wrong[0].name}" in ended.err
    assert wrong[-1].name not in ended.err
    again = bec(*IMPORT, truth, "--volume", ONE)
    assert (again.code, "Documents of no page: 7\n" in again.out) == (3, True)


def test_documents_that_are_all_of_no_page_begin_nothing(bec: Bec, home: Path, truth: Path) -> None:
    for file in list((truth / ONE).glob("*.xml")):
        file.rename(file.with_name(f"scan-{file.name}"))
    ended = bec(*IMPORT, truth, "--source", SAMPLES, "--volume", ONE)
    assert (ended.code, "error E_IMPORT_NOTHING: No document " in ended.err) == (2, True)
    assert ok(bec("jobs", "list", "--json")).json == []


def test_an_interrupted_export_goes_on(start: Start, bec: Bec, imported: Path) -> None:
    process = start("export", "truth", "--format", "pdf,hocr,page,alto,iiif")
    assert process.stderr
    assert "documents written" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in {0, 130}, err
    folder = imported / "exports" / "truth"
    assert [file for file in folder.rglob("*") if file.is_file() and not file.stat().st_size] == []
    ok(bec("export", "truth", "--format", "pdf,hocr,page,alto,iiif"))
    assert len(list(folder.rglob("*.hocr"))) == 18
    assert [file for file in (imported / "work").iterdir() if file.name.startswith(("export-", "pdf-"))] == []


@pytest.mark.timeout(300)
def test_a_run_of_ocr_writes_text_and_says_where(
    bec: Bec, home: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BEC_SQL_HOST", "BEC_SQL_USER", "BEC_SQL_DATABASE"):
        monkeypatch.delenv(name)
    config = json.dumps({"tessdata": str(shared_data / "models" / "tessdata")})
    (tmp_path / "scans" / ONE).mkdir(parents=True)
    shutil.copy(ROOT / "samples" / ONE / "I1BEC00010003.jpg", tmp_path / "scans" / ONE)
    run = ("run", "ocrv1", tmp_path / "scans", "--out", tmp_path / "out", "--config-text", config)
    text = tmp_path / "out" / "exports" / "ocrv1" / ONE / SUFFIXES["txt"]
    assert ok(bec(*run, "--export", "none", "--json")).json["documents"] is None
    assert not text.exists()
    ended = ok(bec(*run))
    assert f"Text:      {text.as_uri()}\n" in ended.out
    ok(bec(*run, "--export", "alto,hocr"))
    content = read_document((text.parent / SUFFIXES["alto"]).read_bytes(), "alto")
    assert text.read_text("utf-8") == f"{content.text}\n"
    line = content.lines[0]
    assert len(line.polygon) > 4
    assert len(line.baseline) >= 2
    text.write_text("corrected")
    (text.parent / "export-txt-volume.json").unlink()
    refused = bec(*run)
    assert (refused.code, f"failed documents of {ONE}: E_FILE_FOREIGN: " in refused.err) == (2, True)
    again = f"--home {tmp_path / 'out'} export ocrv1 --format txt --level volume --volume {ONE} --force"
    assert f"hint: Move it away, or write over it with `bec {again}`." in refused.err
    ok(bec(*again.split()))
    assert text.read_text("utf-8") == f"{content.text}\n"
    refused = bec("run", "toy", tmp_path / "scans", "--out", tmp_path / "toy", "--export", "txt")
    assert (refused.code, "error E_EXPORT_TYPE: " in refused.err) == (2, True), refused.err
    assert not (tmp_path / "toy").exists()


@pytest.mark.timeout(180)
def test_it_works_on_buckets(bec: Bec, fleet_settings: dict[str, str], aws: Aws, truth: Path, tmp_path: Path) -> None:
    s3 = aws.client("s3")
    bucket = fleet_settings["BEC_SOURCE_URL"].removeprefix("s3://")
    for file in (ROOT / "samples" / ONE).iterdir():
        s3.put_object(Bucket=bucket, Key=f"{ONE}/{file.name}", Body=file.read_bytes())
    for file in (truth / ONE).iterdir():
        s3.put_object(Bucket=bucket, Key=f"truth/{ONE}/{file.name}", Body=file.read_bytes())
    source, texts = f"folder+s3://{bucket}", f"s3://{bucket}/truth"
    ok(bec("import", "truth", "--format", "alto", "--from", texts, "--source", source, "--volume", ONE))
    out = f"s3://{bucket}/out"
    for documents_written in (11, 0):
        ended = ok(bec("export", "truth", "--format", "txt,page,pdf", "--out", out, "--json")).json
        assert [one["documents"] for one in ended["volumes"]] == [documents_written]
    there = {each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]}
    assert f"out/{ONE}/{SUFFIXES['page']}" in there
    assert len(there) == 11 + 3
