"""Evaluation over real artefacts, real images and real truth, without a database."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.sources.sources import Sources, source_name
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1.worker import Evalv1Worker
from tests.integration.evaluations import evaluate, ocr_outcome, publish_ocr, rows_of, with_stores
from tests.support.owners import owner

VOLUME = VolumeRef("W1", "I1", "folder+file:///scans")


@pytest.fixture
def artefacts(tmp_path: Path) -> StoredArtefacts:
    work = tmp_path / "work"
    work.mkdir()
    return StoredArtefacts(Stores().open((tmp_path / "out").as_uri(), create=True), work, owner())


def test_known_pairs_through_the_whole_job(shared_data: Path, artefacts: StoredArtefacts, tmp_path: Path) -> None:
    """Two engines read the same four pages, whose images and truth are real; one page came out empty."""
    pages_gt = shared_data / "pages_gt" / "multimodel"
    scans = tmp_path / "scans" / "W1" / "I1"
    scans.mkdir(parents=True)
    for image in [*pages_gt.glob("*.jpg"), *pages_gt.glob("*.png")]:
        shutil.copy(image, scans)
    source = Sources(Stores())(source_name("folder", (tmp_path / "scans").as_uri()))
    manifest = source.read_manifest(VolumeRef("W1", "I1", source.name))
    assert [page.filename for page in manifest.pages] == ["img_1.jpg", "img_2.png", "img_3.png", "img_4.jpg"]
    for engine in ("woodblock", "woodblock_stack"):
        file = shared_data / "eval_pairs" / "multimodel_known_cer" / f"{engine}.json"
        read = [pair["ocr"] for pair in json.loads(file.read_text(encoding="utf-8"))]
        publish_ocr(
            artefacts, manifest, [ocr_outcome(at, text if at else "") for at, text in enumerate(read)], job=engine
        )
    config = {
        "ocr_job": "woodblock",
        "second_ocr_job": "woodblock_stack",
        "truth_url": pages_gt.as_uri(),
        "truth_folder": "",
    }
    success = evaluate(
        artefacts,
        Evalv1Worker.create(config, with_stores()),
        manifest,
        needs=("woodblock", "woodblock_stack"),
        pages=source.pages(manifest),
    )
    rows = rows_of(artefacts, success)
    empty, *read_rows = rows
    assert (empty["cer"], empty["nb_chars"], empty["empty_with_ink"], empty["agreement"]) == (1.0, 0, True, 1.0)
    assert empty["char_deletions"] == empty["truth_chars"]
    known = {row["pair"]: row for row in _expected(shared_data)}
    for row in read_rows:
        pair = known[f"multimodel/woodblock/{row['img_file_name'].partition('.')[0]}"]
        assert round(row["cer_codepoints"], 6) == float(pair["cer_no_whitespace_jiwer"])
        assert round(row["cer_wylie"], 4) == float(pair["published_cer_wylie"])
        assert row["cer"] <= float(pair["cer_graphemes_dinglehopper"])
        assert row["truth_etag"]
        assert row["ink"] is None
    assert success.content is not None
    counters = success.content["counters"]
    assert counters["pages_with_truth"] == 4
    assert counters["char_errors"] == sum(row["char_errors"] for row in rows)
    assert counters["empty_with_ink"] == 1


def _expected(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "eval_pairs" / "EXPECTED_cer.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_page_ledger_of_the_dependency_is_carried_on(artefacts: StoredArtefacts) -> None:
    pages = (Page(0, "a.jpg", skip_reason="intro"), Page(1, "b.jpg"), Page(2, "c.jpg"), Page(3, "d.jpg", etag='"d"'))
    manifest = Manifest(VOLUME, "abcdef00", pages)
    publish_ocr(
        artefacts,
        manifest,
        [
            PageOutcome(0, PageState.SKIPPED, skip_reason="intro"),
            PageOutcome(
                1, PageState.ERROR, error_stage="decode", error_type="E_IMAGE_CORRUPT", error_message="It is cut."
            ),
            PageOutcome(2, PageState.SKIPPED, skip_reason="ldv1: E_IMAGE_EMPTY"),
            ocr_outcome(3, "བཀྲ་ཤིས།"),
        ],
    )
    rows = rows_of(artefacts, evaluate(artefacts, Evalv1Worker.create({}, with_stores()), manifest))
    assert [row["skip_reason"] for row in rows] == [
        "intro",
        "ocr: E_IMAGE_CORRUPT",
        "ocr: ldv1: E_IMAGE_EMPTY",
        None,
    ]
    assert [(row["ok"], row["skipped"]) for row in rows] == [(False, True)] * 3 + [(True, False)]
    assert (rows[3]["source_etag"], rows[3]["nb_chars"], rows[3]["has_truth"]) == ('"d"', 6, False)
    assert all(rows[3][name] is None for name in ("cer", "wer", "ser", "truth_key", "confusions", "ink", "agreement"))
