"""The report over the volumes of an evaluation job, from the database to the HTML page."""

import datetime as dt
import html.parser
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ports.views import ShownPage
from bec_orch.core.tasks import Claim, Job, TaskResult
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.errors import StorageError, UsageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres import overview
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1.report.html import EvaluationReport
from bec_orch.jobs.evalv1.report.tally import WORST_PAGES, EvaluationTally
from bec_orch.jobs.evalv1.report.values import BINS, Sums
from bec_orch.jobs.evalv1.worker import Evalv1Worker
from bec_orch.jobs.shared.thumbnail import thumbnail
from bec_orch.orch.overview import reports
from bec_orch.orch.overview.reports import add_up, report
from tests.integration.conftest import SOURCE, Sql
from tests.integration.evaluations import evaluate, ocr_outcome, publish_ocr, with_stores
from tests.support.owners import owner
from tests.unit import image_bytes as made

TRUTH = "བཀྲ་ཤིས་བདེ་ལེགས།"
READ = (TRUTH, TRUTH.replace("ཤིས", "ཤེས"), TRUTH + "ཀ" * 60)
MADE = dt.datetime(2025, 3, 1, 8, 5, tzinfo=dt.UTC)
HOSTILE = '"><script>alert(1)</script>\u202egnp.jpg'


def no_picture(_page: ShownPage) -> None:
    """Show no page."""


@pytest.fixture
def artefacts(tmp_path: Path) -> StoredArtefacts:
    work = tmp_path / "work"
    work.mkdir()
    return StoredArtefacts(Stores().open((tmp_path / "out").as_uri(), create=True), work, owner())


@pytest.fixture
def evaluation(tmp_path: Path) -> Evalv1Worker:
    for number in range(3):
        file = tmp_path / "truth" / f"{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TRUTH, encoding="utf-8")
    config = {"truth_url": (tmp_path / "truth").as_uri(), "truth_folder": ""}
    return Evalv1Worker.create(config, with_stores())


def manifest_of(w_id: str, i_id: str, names: tuple[str, ...] = ("0.jpg", "1.jpg", "2.jpg")) -> Manifest:
    return Manifest(VolumeRef(w_id, i_id, SOURCE), "abcdef00", tuple(Page(at, name) for at, name in enumerate(names)))


def gather(job: str, locations: Iterable[ArtefactLocation], artefacts: StoredArtefacts) -> EvaluationReport:
    tally = EvaluationTally(job)
    add_up(tally, locations, artefacts)
    return tally.report()


def done(artefacts: StoredArtefacts, job_worker: Evalv1Worker, manifest: Manifest) -> ArtefactLocation:
    """Read and evaluate a volume; pages beyond the third are skipped by the OCR."""
    outcomes = [
        ocr_outcome(page.index, READ[page.index])
        if page.index < len(READ)
        else PageOutcome(page.index, PageState.SKIPPED, skip_reason="blank")
        for page in manifest.pages
    ]
    publish_ocr(artefacts, manifest, outcomes)
    return evaluate(artefacts, job_worker, manifest).location


def test_truth_and_text_stand_side_by_side(artefacts: StoredArtefacts, evaluation: Evalv1Worker) -> None:
    found = gather("eval", [done(artefacts, evaluation, manifest_of("W1", "I1"))], artefacts)
    assert found.hints() == []
    page = found.html(no_picture, MADE)
    assert "བཀྲ་<del>ཤི</del>ས་བདེ་ལེགས།" in page
    assert "བཀྲ་<ins>ཤེ</ins>ས་བདེ་ལེགས།" in page
    assert f"<ins>{'ཀ' * 60}</ins>" in page


def test_what_is_wrong_with_the_truth_itself_is_reported(
    artefacts: StoredArtefacts, evaluation: Evalv1Worker, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / "truth" / f"{number}.txt").write_text(f"Plate {number} verso\n{TRUTH}\n", encoding="utf-8")
    for name in ("9", "<b>"):
        (tmp_path / "truth" / f"{name}.txt").write_text(TRUTH, encoding="utf-8")
    found = gather("eval", [done(artefacts, evaluation, manifest_of("W1", "I1"))], artefacts)
    first, second = found.hints()
    assert first.startswith("On 2 of 3 pages the first line of the truth is not in the text")
    assert "`truth_skip_lines`" in first
    assert second.startswith("2 files of truth belong to no page ('9.txt', '<b>.txt'): truth is named like")
    assert ("Pages whose first line of truth was not read", "2") in found.summary()
    assert found.to_json()["unmatched_truth"] == ["9.txt", "<b>.txt"]
    page = found.html(no_picture, MADE)
    assert page.count('<p class="hint">') == 2
    assert "<li><bdi>9.txt</bdi></li>" in page
    assert "<b>.txt" not in page

    once = replace(found, sums=Sums({**found.sums.columns, "first_line_off": 1, "nb_unmatched_truth": 0}))
    assert once.hints() == []


def test_volumes_add_up(artefacts: StoredArtefacts, evaluation: Evalv1Worker) -> None:
    names = ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
    locations = [
        done(artefacts, evaluation, manifest_of(w_id, i_id, names))
        for w_id, i_id in (("W1", "I1"), ("W1", "I2"), ("W2", "I3"))
    ]
    found = gather("eval", locations, artefacts)
    assert (found.volumes, found.unreadable) == (3, ())
    assert (found.pages.ok, found.pages.skipped, found.pages.error) == (9, 3, 0)
    assert found.sums["has_truth"] == 9
    length = found.sums["truth_chars"] // 9
    assert found.sums.cer == pytest.approx(3 * 61 / (9 * length))
    assert found.sums["char_substitutions"] == 3
    assert [found.cer.counts[0], found.cer.counts[int(BINS / length)], found.cer.counts[BINS]] == [3, 3, 3]
    assert found.cer.quantile(0.5) == int(BINS / length) / BINS
    assert [(work.w_id, work.volumes, work.pages) for work in found.works] == [("W1", 2, 6), ("W2", 1, 3)]
    assert [(page.volume.i_id, page.img_file_name) for page in found.worst[:3]] == [
        ("I1", "2.jpg"),
        ("I2", "2.jpg"),
        ("I3", "2.jpg"),
    ]
    assert len(found.worst) == 6
    assert found.confusions[0].ocr == "ཀ"
    assert (found.confusions[0].truth, found.confusions[0].count) == ("", 180)
    assert found.suspects[0].suspicion > 0.5
    assert dict(found.summary())["Pages with ground truth"] == "9"
    assert json.loads(json.dumps(found.to_json()))["works"][1]["w_id"] == "W2"


def test_no_more_than_the_worst_pages_are_kept(artefacts: StoredArtefacts, evaluation: Evalv1Worker) -> None:
    locations = [done(artefacts, evaluation, manifest_of(f"W{n}", "I1")) for n in range(WORST_PAGES // 2 + 3)]
    found = gather("eval", locations, artefacts)
    assert len(found.worst) == WORST_PAGES
    rates = [page.cer or 0 for page in found.worst]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 1 > rates[-1]


def test_artefacts_that_are_gone_or_broken_are_reported(
    artefacts: StoredArtefacts, evaluation: Evalv1Worker, tmp_path: Path
) -> None:
    locations = [done(artefacts, evaluation, manifest_of("W1", f"I{n}")) for n in range(4)]
    (tmp_path / "out" / locations[0].prefix / "success.json").unlink()
    (tmp_path / "out" / locations[1].prefix / "success.json").write_text("[]", encoding="utf-8")
    (file,) = (tmp_path / "out" / locations[2].prefix).glob("*.parquet")
    file.write_bytes(b"PAR1")
    other = manifest_of("W1", "I9")
    publish_ocr(artefacts, other, [ocr_outcome(at, "") for at in range(3)], job="eval")
    found = gather("eval", [*locations, ArtefactLocation("eval", other.volume, other.version)], artefacts)
    assert [volume.i_id for volume in found.unreadable] == ["I0", "I1", "I2", "I9"]
    assert (found.volumes, found.pages.ok) == (5, 3)


class AwayArtefacts(StoredArtefacts):
    def success(self, location: ArtefactLocation) -> None:
        raise StorageError(f"The store of {location.prefix} is away.")


def test_a_store_that_is_away_ends_the_report(tmp_path: Path) -> None:
    away = AwayArtefacts(Stores().open("memory://x"), tmp_path, owner())
    with pytest.raises(StorageError, match="away"):
        gather("eval", [ArtefactLocation("eval", VolumeRef("W1", "I1", SOURCE), "abcdef")], away)


def test_no_volume_is_no_error(artefacts: StoredArtefacts) -> None:
    found = gather("eval", [], artefacts)
    assert (found.volumes, found.sums.cer, found.cer.quantile(0.5), found.agreement) == (0, None, None, None)
    assert "Evaluation eval" in found.html(no_picture, MADE)


def test_volumes_are_read_ahead_but_not_all_at_once(
    artefacts: StoredArtefacts, evaluation: Evalv1Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing goes on only as far as artefacts are read, so that many volumes are never in memory."""
    location = done(artefacts, evaluation, manifest_of("W1", "I1"))
    monkeypatch.setattr(reports, "READERS", 2)
    counted: list[int] = []
    listed = 0

    def locations() -> Iterator[ArtefactLocation]:
        nonlocal listed
        for _ in range(50):
            listed += 1
            yield location

    add = EvaluationTally.add

    def counting(self: EvaluationTally, *arguments: object) -> None:
        counted.append(listed)
        add(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(EvaluationTally, "add", counting)
    assert gather("eval", locations(), artefacts).volumes == 50
    assert all(seen <= at + 5 for at, seen in enumerate(counted, start=1))


class Tags(html.parser.HTMLParser):
    """Gathers the tags of a page, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags.found


@pytest.fixture
def hostile(artefacts: StoredArtefacts, evaluation: Evalv1Worker) -> EvaluationReport:
    """A report over a volume whose file names and text try to break out of the page."""
    manifest = manifest_of("W1", "I1", (HOSTILE, "1.jpg"))
    publish_ocr(artefacts, manifest, [ocr_outcome(0, "<u>&amp;" * 9), ocr_outcome(1, "</td><script>")])
    return gather("<eval>", [evaluate(artefacts, evaluation, manifest).location], artefacts)


def test_the_page_is_whole_and_needs_no_other_file(artefacts: StoredArtefacts, hostile: EvaluationReport) -> None:
    picture = thumbnail(made.jpeg(Image.new("L", (900, 300), "white")))
    page = hostile.html(lambda _: picture, MADE)
    found = tags_of(page)
    names = [tag for tag, _ in found]
    assert "script" not in names
    assert "u" not in names
    assert {"svg", "rect", "table", "figure"} <= set(names)
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in found]
    assert all(source.startswith("data:image/jpeg;base64,/9j/") for source in sources if source)
    assert sum(source is not None for source in sources) == len(hostile.suspects) + len(hostile.worst)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "\\u202egnp.jpg" in page
    assert "1 volume, 2 pages evaluated, 0 skipped." in page


def test_the_page_shows_the_figures(artefacts: StoredArtefacts, evaluation: Evalv1Worker) -> None:
    locations = [done(artefacts, evaluation, manifest_of(f"W{n}", "I1")) for n in range(45)]
    found = gather("eval", locations, artefacts)
    page = found.html(no_picture, MADE)
    tags_of(page)
    assert f"{found.sums.cer:.2%}" in page
    assert "The 40 worst of 45 works." in page
    assert "U+0F40 TIBETAN LETTER KA" in page
    assert "<bdi>W0/I1</bdi> page 3" in page
    assert "45 volumes, 135 pages evaluated, 0 skipped. 01 March 2025, 08:05 UTC." in page
    assert page.count("<tr>") == 1 + 40 + 1 + len(found.confusions)
    assert "img" not in [tag for tag, _ in tags_of(page)]


def test_without_truth_suspicion_takes_its_place(artefacts: StoredArtefacts) -> None:
    manifest = manifest_of("W1", "I1")
    publish_ocr(artefacts, manifest, [ocr_outcome(at, text) for at, text in enumerate(READ)])
    success = evaluate(artefacts, Evalv1Worker.create({}, with_stores()), manifest)
    found = gather("eval", [success.location], artefacts)
    assert (found.sums.cer, found.cer.total, found.worst, found.confusions) == (None, 0, (), ())
    page = found.html(no_picture, MADE)
    assert "The bar is the mean suspicion of its pages." in page
    assert "Commonest confusions" not in page
    assert "Character error rate" not in dict(found.summary())


def finish(store: PgTasks, job: Job, volume: VolumeRef, etag: str) -> None:
    claim = store.claim(job, volume, worker_id="w", token=uuid4(), lease=60)
    assert isinstance(claim, Claim)
    assert store.stamp_manifest(claim, etag, 3)
    store.commit(claim, TaskResult(etag, "hash1", "1", (), PageCounts(3), ()))


@pytest.mark.parametrize("a_query", [2, 1000])
def test_every_volume_that_is_done_is_found_once(
    a_query: int,
    add_job: Callable[..., Job],
    store: PgTasks,
    database: Database,
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overview, "_VOLUMES_A_QUERY", a_query)
    job, other = add_job("eval"), add_job("other")
    volumes = [VolumeRef("W1", f"I{n}", SOURCE) for n in range(6)]
    for volume in volumes:
        store.ensure_task(job, volume)
        store.ensure_task(other, volume)
    for volume in volumes[:5]:
        finish(store, job, volume, "aaaaaa11")
    sql("UPDATE tasks SET state = 'canceled' WHERE id = (SELECT min(id) FROM tasks WHERE state = 'done')")
    store.reopen(sql("SELECT max(id) AS id FROM tasks WHERE state = 'done'")[0]["id"], "gone")
    claim = store.claim(job, volumes[4], worker_id="w", token=uuid4(), lease=60)
    assert isinstance(claim, Claim)
    assert not store.stamp_manifest(claim, "bbbbbb22", 3)
    finish(store, job, volumes[4], "bbbbbb22")
    found = {one.volume.i_id: one.manifest_etag for page in PgOverview(database).done_volumes(job) for one in page}
    assert found == {"I1": "aaaaaa11", "I2": "aaaaaa11", "I3": "aaaaaa11", "I4": "bbbbbb22"}
    assert list(PgOverview(database).done_volumes(other)) == []


def test_the_report_of_a_job(
    add_job: Callable[..., Job],
    store: PgTasks,
    database: Database,
    artefacts: StoredArtefacts,
    evaluation: Evalv1Worker,
) -> None:
    job = replace(add_job("eval"), type="evalv1")
    manifest = manifest_of("W1", "I1")
    done(artefacts, evaluation, manifest)
    store.ensure_task(job, manifest.volume)
    finish(store, job, manifest.volume, manifest.etag)
    assert dict(report(job, PgOverview(database), artefacts).summary())["Pages evaluated"] == "3"


def test_other_jobs_have_no_report(add_job: Callable[..., Job], database: Database, artefacts: StoredArtefacts) -> None:
    with pytest.raises(UsageError, match="ldv1"):
        report(add_job("lines"), PgOverview(database), artefacts)
