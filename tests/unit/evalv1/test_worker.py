import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.volumes import PageOutcome, PageState
from bec_orch.errors import ConfigError, Interrupted, StorageError
from bec_orch.io.artefacts.columns import column
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1 import page_row
from bec_orch.jobs.evalv1.page_row import COUNTED, SCHEMA
from bec_orch.jobs.evalv1.worker import Evalv1Worker
from tests.unit import image_bytes as made
from tests.unit.evalv1.texts import artefact, evaluated, ocr_row
from tests.unit.fakes import FlagStop, MemoryPages, MemoryRows, resources
from tests.unit.ldv1.drawn import page

if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import JobWorker

GOOD = "བཀྲ་ཤིས་བདེ་ལེགས།\nཕུན་སུམ་ཚོགས།"
BLANK = made.png(Image.new("L", (1200, 400), "white"))
WRITTEN = made.png(
    Image.fromarray(page((1400, 400), [(100, 100 + 60 * line, 1300, 100 + 60 * line) for line in range(3)]))
)


def worker(truth: Path | None = None, **config: Any) -> Evalv1Worker:
    given = WorkerResources(1, 2**28, resources().models, open_store=Stores().open)
    return Evalv1Worker.create({**config, **({"truth_url": truth.as_uri()} if truth else {})}, given)


def run(
    rows_of_ocr: list[dict[str, Any]],
    job: Evalv1Worker | None = None,
    files: dict[str, bytes | Exception] | None = None,
    **values: Any,
) -> MemoryRows:
    rows = MemoryRows()
    volume = files or {row["img_file_name"]: BLANK for row in rows_of_ocr}
    dependencies = {"ocr": artefact(rows_of_ocr), **values.pop("more", {})}
    (job or worker()).run(evaluated(volume, rows, dependencies, **values))
    return rows


def test_pages_with_truth_have_rates(tmp_path: Path) -> None:
    folder = tmp_path / "W1" / "I1"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(GOOD, encoding="utf-8")
    (folder / "b.txt").write_text(GOOD, encoding="utf-8")
    bad = GOOD.replace("ཤིས", "ཤས").replace("སུམ་", "")
    rows = run([ocr_row("a.jpg", GOOD), ocr_row("b.jpg", bad), ocr_row("c.jpg", GOOD)], worker(tmp_path)).flushed
    perfect, faulty, untold = (rows[index].row for index in range(3))
    assert (perfect["cer"], perfect["ser"], perfect["wer"], perfect["cer_wylie"]) == (0.0, 0.0, 0.0, 0.0)
    assert perfect["truth_chars"] == perfect["nb_chars"] == 23
    assert perfect["truth_key"] == "W1/I1/a.txt"
    assert (faulty["char_substitutions"], faulty["char_deletions"], faulty["char_insertions"]) == (1, 3, 0)
    assert faulty["cer"] == 4 / 23
    assert (faulty["syllable_errors"], faulty["truth_syllables"]) == (2, 7)
    assert (faulty["word_errors"], faulty["truth_words"]) == (2, 2)
    assert {"truth": "ཤི", "ocr": "ཤ", "count": 1} in faulty["confusions"]
    assert untold["has_truth"] is False
    assert "cer" not in untold


def with_kinds(name: str = "a.jpg") -> dict[str, Any]:
    """A page with a head, two lines of text, a number below them, and a note."""
    lines = {
        "ཀཀཀ": ("main", 60),
        "ཁཁཁ": ("main", 90),
        "མགོ": ("running", 20),
        "༡༢": ("running", 140),
        "གག": ("note", 75),
    }
    boxes = [{"x": 10, "y": y, "w": 90, "h": 20} for _, y in lines.values()]
    kinds = [kind for kind, _ in lines.values()]
    row = ocr_row(name, "\n".join(lines))
    return {**row, "page_text": "ཀཀཀ\nཁཁཁ", "line_kinds": kinds, "line_bboxes": boxes}


@pytest.mark.parametrize(
    ("kinds", "truth"),
    [(None, "ཀཀཀ\nཁཁཁ"), (["running", "main"], "མགོ\nཀཀཀ\nཁཁཁ\n༡༢"), (["note", "main"], "ཀཀཀ\nཁཁཁ\nགག")],
)
def test_lines_of_the_kinds_of_the_config_are_compared_in_the_order_of_a_transcription(
    tmp_path: Path, kinds: list[str] | None, truth: str
) -> None:
    (tmp_path / "a.txt").write_text(truth, encoding="utf-8")
    job = worker(tmp_path, truth_folder="", **({"kinds": kinds} if kinds else {}))
    row = run([with_kinds()], job).flushed[0].row
    assert (row["cer"], row["nb_lines"]) == (0.0, truth.count("\n") + 1)


def test_a_truth_that_states_kinds_is_compared_with_those(tmp_path: Path) -> None:
    lines = [("main", "ཀཀཀ"), ("main", "ཁཁཁ"), ("note", "གག")]
    tags = '<Tags><OtherTag ID="main" LABEL="main"/><OtherTag ID="note" LABEL="note"/></Tags>'
    told = "".join(f'<TextLine TAGREFS="{kind}"><String CONTENT="{text}"/></TextLine>' for kind, text in lines)
    (tmp_path / "a.xml").write_text(f"<alto>{tags}<TextBlock>{told}</TextBlock></alto>", encoding="utf-8")
    untold = "".join(f'<TextLine><String CONTENT="{text}"/></TextLine>' for _, text in lines[:2])
    (tmp_path / "b.xml").write_text(f"<alto><TextBlock>{untold}</TextBlock></alto>", encoding="utf-8")
    rows = run([with_kinds(), with_kinds("b.jpg")], worker(tmp_path, truth_folder="")).flushed
    assert [rows[index].row["cer"] for index in range(2)] == [0.0, 0.0]
    assert [rows[index].row["nb_lines"] for index in range(2)] == [3, 2]


@pytest.mark.parametrize(
    ("truth", "read", "off"),
    [
        (f"Plate 7, verso\n{GOOD}", GOOD, True),
        (f"Plate 7, verso\n{GOOD}", f"Plate 7, verso\n{GOOD}", False),
        (f"Plate 7, verso\n{GOOD}", "", False),
        (GOOD, GOOD, False),
        ("one line", GOOD, False),
        ("", GOOD, False),
    ],
)
def test_a_first_line_of_truth_that_is_no_text_of_the_page(tmp_path: Path, truth: str, read: str, off: bool) -> None:  # noqa: FBT001
    (tmp_path / "a.txt").write_text(truth, encoding="utf-8")
    row = run([ocr_row("a.jpg", read)], worker(tmp_path, truth_folder="")).flushed[0].row
    assert row["first_line_off"] is off
    assert (row["truth_text"], row["ocr_text"]) == (truth, read)


def test_long_texts_are_kept_in_part(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ཀ" * 30_000, encoding="utf-8")
    row = run([ocr_row("a.jpg", "ཀ" * 30_000)], worker(tmp_path, truth_folder="")).flushed[0].row
    assert {len(row["truth_text"]), len(row["ocr_text"])} == {page_row.MOST_TEXT}
    assert row["cer"] == 0


def test_white_space_counts_only_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ཀ་ ཁ་\nག", encoding="utf-8")
    row = run([ocr_row("a.jpg", "ཀ་ཁ་\n\nག")], worker(tmp_path, truth_folder="")).flushed[0].row
    assert (row["cer"], row["cer_codepoints"], row["ser"]) == (0.0, 0.0, 0.0)
    assert row["cer_spaced"] == 1 / 7


def test_other_scripts_have_neither_syllables_nor_wylie(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Fnord", encoding="utf-8")
    row = run([ocr_row("a.jpg", "Food")], worker(tmp_path, truth_folder="", script="Latin")).flushed[0].row
    assert row["cer"] == 2 / 5
    assert row["outside_script"] == 0
    assert "ser" not in row
    assert row["cer_wylie"] is None


def test_signs_that_need_no_truth() -> None:
    lines = ["བཀྲ་ཤིས་བདེ་ལེགས།", "abc", ""]
    row = {**ocr_row("a.jpg", "\n".join(lines)), "line_texts": lines, "line_confidences": [0.9, 0.2, 0.4]}
    found = run(
        [row, ocr_row("b.jpg", "ཀ་" * 40), ocr_row("c.jpg", "ཀ\u0f72\u0f72 ཀ")], worker(low_confidence=0.5)
    ).flushed
    first, second, third = (found[index].row for index in range(3))
    assert (first["nb_lines"], first["low_confidence_lines"], first["outside_script"]) == (3, 2, 3)
    assert first["mean_confidence"] == pytest.approx(0.5)
    assert first["chars_per_line"] == first["nb_chars"] / 2
    assert first["suspicion"] == pytest.approx(2 / 3)
    assert (second["repeated_chars"], second["nb_chars"]) == (78, 80)
    assert (third["stacks"], third["illegal_stacks"], third["illegal_examples"]) == (2, 1, ("ཀ\u0f72\u0f72",))
    assert third["suspicion"] == 0.5


def test_only_images_of_pages_without_text_are_looked_at() -> None:
    pages = {"a.jpg": BLANK, "b.jpg": WRITTEN, "c.jpg": BLANK, "d.jpg": b"no image"}
    rows = MemoryRows()
    context = evaluated(
        pages,
        rows,
        {"ocr": artefact([ocr_row("a.jpg", GOOD), ocr_row("b.jpg"), ocr_row("c.jpg", " \n"), ocr_row("d.jpg")])},
    )
    worker().run(context)
    assert isinstance(context.pages, MemoryPages)
    assert sorted(context.pages.read_names) == ["b.jpg", "c.jpg", "d.jpg"]
    found = rows.flushed
    assert [found[index].row["empty_with_ink"] for index in range(3)] == [False, True, False]
    assert found[0].row["ink"] is None
    assert found[1].row["suspicion"] == 1.0
    assert (found[3].state, found[3].error_type) == (PageState.ERROR, "E_IMAGE_NOT_IMAGE")


def test_a_second_ocr_is_compared_with() -> None:
    second = [ocr_row("a.jpg", GOOD), ocr_row("b.jpg", GOOD.replace("བདེ", "")), ocr_row("c.jpg", None)]
    rows = run(
        [ocr_row(name, GOOD) for name in ("a.jpg", "b.jpg", "c.jpg")],
        worker(ocr_job="ocr", second_ocr_job="other"),
        more={"other": artefact(second)},
    ).flushed
    assert [rows[index].row["agreement"] for index in range(3)] == [1.0, 1 - 2 / 23, None]
    assert rows[1].row["suspicion"] == pytest.approx(2 / 23)


def test_pages_that_the_ocr_left_out_are_left_out_for_its_reason() -> None:
    rows = run(
        [
            ocr_row("a.jpg", None, skipped=True, skip_reason="sideways"),
            ocr_row("b.jpg", None, error_type="E_IMAGE_CORRUPT", error_message="It is cut."),
            ocr_row("c.jpg", None, skipped=True),
            ocr_row("d.jpg", GOOD),
        ],
        skipped={"d.jpg": "intro"},
    ).flushed
    assert [rows[index].state for index in range(4)] == [PageState.SKIPPED] * 4
    reasons = [rows[index].skip_reason for index in range(4)]
    assert reasons == ["ocr: sideways", "ocr: E_IMAGE_CORRUPT", "ocr: skipped", "intro"]


def test_a_page_that_the_artefact_does_not_have_is_skipped() -> None:
    rows = run([ocr_row("a.jpg", GOOD)], files={"a.jpg": BLANK, "b.jpg": BLANK}).flushed
    assert rows[0].row["nb_chars"] == 23
    assert rows[0].source_etag == "etag-a.jpg"
    assert (rows[1].state, rows[1].skip_reason) == (PageState.SKIPPED, "ocr: no row")


def test_rows_are_found_by_name_whatever_their_order() -> None:
    rows = run([ocr_row("b.jpg", "ཀཀ"), ocr_row("a.jpg", "ཀ")], files={"a.jpg": BLANK, "b.jpg": BLANK}).flushed
    assert [rows[index].row["nb_chars"] for index in (0, 1)] == [1, 2]


@pytest.mark.parametrize(
    ("config", "dependencies"),
    [
        ({}, {}),
        ({}, {"a": artefact([]), "b": artefact([])}),
        ({"ocr_job": "c"}, {"a": artefact([])}),
        ({"ocr_job": "a", "second_ocr_job": "c"}, {"a": artefact([])}),
        ({}, {"lines": lambda: pa.table({"img_file_name": ["a.jpg"]})}),
    ],
)
def test_a_job_without_the_right_dependencies_says_so(config: dict[str, Any], dependencies: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        worker(**config).run(evaluated({"a.jpg": BLANK}, MemoryRows(), dependencies))
    assert raised.value.code == "E_EVAL_DEPENDENCY"


def test_finished_pages_are_not_done_again_and_progress_is_reported() -> None:
    told: list[int] = []
    rows = MemoryRows(earlier=frozenset({0}))
    files: dict[str, bytes | Exception] = dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), BLANK)
    metrics = worker().run(
        evaluated(files, rows, {"ocr": artefact([ocr_row(name, GOOD) for name in files])}, progress=told.append)
    )
    assert sorted(rows.flushed) == [1, 2]
    assert told == [2, 3]
    assert metrics.counters["pages"] == 2
    assert metrics.stages["finish"].count == 2


class SeenStop(FlagStop):
    """Knows when somebody has seen that it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def reason(self) -> str | None:
        if self.why:
            self.seen.set()
        return self.why


def test_a_stop_keeps_the_finished_pages() -> None:
    stop = SeenStop()

    def after_the_first(_outcome: PageOutcome) -> None:
        stop.why = "shutdown"
        assert stop.seen.wait(60)

    rows = MemoryRows(on_add=after_the_first)
    files: dict[str, bytes | Exception] = {f"{n}.jpg": BLANK for n in range(200)}
    with pytest.raises(Interrupted):
        worker().run(evaluated(files, rows, {"ocr": artefact([ocr_row(name, GOOD) for name in files])}, stop=stop))
    assert 0 < len(rows.flushed) < 200


def test_a_store_that_is_away_is_no_page_error() -> None:
    files: dict[str, bytes | Exception] = {"a.jpg": BLANK, "b.jpg": StorageError("The store is away.")}
    rows = MemoryRows()
    with pytest.raises(StorageError, match="away"):
        worker().run(evaluated(files, rows, {"ocr": artefact([ocr_row(name) for name in files])}))
    assert set(rows.flushed) <= {0}


def test_a_page_that_nobody_thought_of_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object, **_named: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(page_row, "signs_of", failing)
    rows = run([ocr_row("a.jpg", GOOD)]).flushed
    assert (rows[0].error_type, rows[0].error_stage) == ("E_PAGE_UNEXPECTED", "finish")


def test_rows_fit_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.txt").write_text("", encoding="utf-8")
    job: JobWorker = worker(tmp_path, truth_folder="")
    assert isinstance(job, Evalv1Worker)
    rows = run([ocr_row(name, GOOD[:-3]) for name in ("a.jpg", "b.jpg", "c.jpg")], job).flushed
    values = [rows[index].row for index in range(3)]
    assert {name for row in values for name in row} == set(SCHEMA.names)
    table = pa.table({field.name: column([row.get(field.name) for row in values], field.type) for field in SCHEMA})
    first, empty, untold = table.to_pylist()
    assert first["confusions"]
    assert (empty["cer"], empty["wer"], empty["truth_chars"]) == (None, None, 0)
    assert untold["cer"] is untold["confusions"] is None
    assert set(COUNTED.values()) <= set(SCHEMA.names)
    assert job.models == ()
    job.close()
    job.close()


def test_a_page_of_random_bytes_as_text_is_evaluated() -> None:
    text = np.random.default_rng(7).bytes(4000).decode("utf-8", errors="replace")
    row = run([ocr_row("a.jpg", text)]).flushed[0].row
    assert row["outside_script"] > 0.3 * row["codepoints"]
