"""Every picture of a file: found, decoded, and done by page jobs that are asked to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bec_orch.core.frames import MOST_FRAMES
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.volumes import PageOutcome, PageState
from bec_orch.errors import PageError, TerminalError
from bec_orch.jobs.images import decode, probe
from tests.unit import image_bytes as made
from tests.unit.fakes import MemoryPages, MemoryRows, context, resources
from tests.unit.test_page_job_worker import BrightnessWorker, NamesWorker, plain

LIGHTS = (200, 120, 40)


def pictures(sizes: tuple[tuple[int, int], ...] = ((64, 48), (32, 80), (50, 50))) -> list[Image.Image]:
    return [Image.new("L", size, light) for size, light in zip(sizes, LIGHTS, strict=True)]


def tiff(compression: str | None = None, **options: Any) -> bytes:
    first, *others = pictures()
    return made.tiff(first, save_all=True, append_images=others, compression=compression, **options)


def animation(kind: str) -> bytes:
    first, *others = (Image.new("RGB", (64, 48), (light,) * 3) for light in LIGHTS)
    return made.encoded(
        first, kind, save_all=True, append_images=others, **({"lossless": True} if kind == "WEBP" else {})
    )


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}, {"compression": "jpeg"}])
@pytest.mark.parametrize("reduce", [1, 2])
def test_each_page_of_a_tiff_has_its_own_size_and_pixels(options: dict[str, Any], reduce: int) -> None:
    data = tiff(**options)
    for frame, (picture, light) in enumerate(zip(pictures(), LIGHTS, strict=True), start=1):
        header = probe(data, frame=frame)
        assert (header.width, header.height, header.frames, header.frame) == (*picture.size, 3, frame)
        pixels = decode(data, header, reduce=reduce)
        assert pixels.shape == (picture.height // reduce, picture.width // reduce)
        assert abs(pixels.astype(int) - light).max() <= 2


def test_smaller_versions_of_a_page_are_no_pages_of_a_tiff() -> None:
    with_thumbnail = made.tiff(pictures()[0], save_all=True, append_images=pictures()[1:2], tiffinfo={254: 1})
    with pytest.raises(PageError) as failed:
        probe(with_thumbnail, frame=2)
    assert failed.value.code == "E_IMAGE_FRAME"


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_each_frame_of_an_animation_is_as_it_is_shown(kind: str) -> None:
    data = animation(kind)
    for frame, light in enumerate(LIGHTS, start=1):
        pixels = decode(data, probe(data, frame=frame))
        assert pixels.shape[:2] == (48, 64)
        assert abs(pixels.astype(int) - light).max() <= 2


def test_a_frame_larger_than_the_screen_widens_it_for_those_from_there_on() -> None:
    data = bytearray(animation("GIF"))
    place = data.rindex(b"\x2c\0\0\0\0\x40\0\x30\0")
    data[place + 1] = 10  # the last frame begins ten pixels to the right
    assert [probe(bytes(data), frame=frame).width for frame in (1, 2, 3)] == [64, 64, 74]
    assert decode(bytes(data), probe(bytes(data), frame=3)).shape[:2] == (48, 74)


@pytest.mark.parametrize("data", [made.jpeg(), tiff(), animation("GIF"), animation("WEBP")])
def test_a_picture_that_a_file_does_not_have(data: bytes) -> None:
    with pytest.raises(PageError, match=r"no picture 4: it has [13]") as failed:
        probe(data, frame=4)
    assert failed.value.code == "E_IMAGE_FRAME"
    assert "no picture 0" not in failed.value.message


def test_real_animations(shared_data: Path) -> None:
    for name in ("animated_42.gif", "animated_42.webp"):
        data = (shared_data / "odd_more" / "other" / name).read_bytes()
        shown = [decode(data, probe(data, frame=frame)) for frame in (1, 21, 42)]
        assert len({picture.shape for picture in shown}) == 1
        assert not np.array_equal(shown[0], shown[1])


def worker(**config: Any) -> BrightnessWorker:
    return BrightnessWorker.create(config, resources())


def done(job: BrightnessWorker, volume: JobContext, rows: MemoryRows) -> list[list[tuple[int, PageState, Any]]]:
    job.run(volume)
    return [
        [
            (one.frame, one.state, one.row.get("brightness") or one.error_type or one.skip_reason)
            for one in outcome.every
        ]
        for _, outcome in sorted(rows.flushed.items())
    ]


def test_all_pictures_of_a_file_get_a_row_where_they_are_asked_for() -> None:
    rows, files = MemoryRows(), {"a.png": plain(9), "b.tif": tiff(), "c.png": plain(7)}
    volume = context(files, rows)
    assert done(worker(frames="all"), volume, rows) == [
        [(1, PageState.OK, 9)],
        [(1, PageState.OK, 200), (2, PageState.OK, 120), (3, PageState.OK, 40)],
        [(1, PageState.OK, 7)],
    ]
    assert isinstance(volume.pages, MemoryPages)
    assert sorted(volume.pages.read_names) == sorted(files)
    assert rows.flushed[1].further[1].source_etag == "etag-b.tif"


def test_the_first_alone_is_done_by_default_and_finished_work_stays_what_it_is() -> None:
    rows = MemoryRows()
    assert done(worker(), context({"b.tif": tiff()}, rows), rows) == [[(1, PageState.OK, 200)]]
    old = {name: value for name, value in worker().config.hashed().items() if name != "frames"}
    assert worker().config.hashed() == old
    assert worker(frames="all").config.output_hash() != worker().config.output_hash()


def test_a_picture_that_is_broken_is_an_error_of_its_own() -> None:
    data = bytearray(
        made.tiff(pictures()[0], save_all=True, append_images=pictures()[1:], compression="tiff_adobe_deflate")
    )
    second = probe(bytes(data), frame=2)
    assert second.frame == 2
    places = [at for at in range(len(data)) if data[at : at + 2] == b"\x78\x9c"]
    data[places[1] + 6] ^= 0xFF
    rows = MemoryRows()
    states = done(worker(frames="all"), context({"b.tif": bytes(data)}, rows), rows)
    assert [state for _, state, _ in states[0]] == [PageState.OK, PageState.ERROR, PageState.OK]
    assert states[0][1][2] in {"E_IMAGE_CORRUPT", "E_IMAGE_TRUNCATED"}


def test_a_hostile_number_of_pictures_is_refused() -> None:
    frames = [Image.new("L", (2, 2), shade) for shade in range(MOST_FRAMES + 1)]
    gif = made.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    rows = MemoryRows()
    states = done(worker(frames="all"), context({"a.gif": gif, "b.tif": made.many_pages(MOST_FRAMES + 1)}, rows), rows)
    assert states == [[(1, PageState.ERROR, "E_IMAGE_MULTIPAGE")]] * 2
    assert str(MOST_FRAMES) in (rows.flushed[0].error_message or "")


def test_no_file_may_be_named_like_a_picture_of_another() -> None:
    files = {"b.tif": tiff(), "b.tif#2": plain(3)}
    with pytest.raises(TerminalError) as failed:
        worker(frames="all").run(context(files, MemoryRows()))
    assert failed.value.code == "E_FRAME_NAMES"
    assert "'b.tif#2'" in failed.value.message
    rows = MemoryRows()
    assert done(worker(), context(files, rows), rows) == [[(1, PageState.OK, 200)], [(1, PageState.OK, 3)]]


def left_by(names: list[str], **columns: list[Any]) -> pa.Table:
    return pa.table({"img_file_name": names, **columns})


def needing(files: dict[str, bytes | Exception], rows: MemoryRows, table: pa.Table) -> JobContext:
    return replace(context(files, rows), dependencies={"lines": lambda: table})


def test_a_job_does_the_pictures_that_another_has_rows_of() -> None:
    rows = MemoryRows()
    table = left_by(["b.tif", "b.tif#2", "c.png"], ok=[True] * 3)
    volume = needing({"b.tif": tiff(), "c.png": plain(7)}, rows, table)
    assert done(worker(), volume, rows) == [
        [(1, PageState.OK, 200), (2, PageState.OK, 120)],
        [(1, PageState.OK, 7)],
    ]


def test_the_row_of_a_file_that_is_named_like_a_picture_is_its_own() -> None:
    rows, table = MemoryRows(), left_by(["b.tif", "b.tif#2"], ok=[True] * 2)
    assert done(worker(), needing({"b.tif": tiff(), "b.tif#2": plain(7)}, rows, table), rows) == [
        [(1, PageState.OK, 200)],
        [(1, PageState.OK, 7)],
    ]


def test_each_picture_is_skipped_for_its_own_reason() -> None:
    rows = MemoryRows()
    table = left_by(["b.tif", "b.tif#2"], ok=[False, True], error_type=["E_IMAGE_CORRUPT", None])
    assert done(worker(), needing({"b.tif": tiff()}, rows, table), rows) == [
        [(1, PageState.SKIPPED, "lines: E_IMAGE_CORRUPT"), (2, PageState.OK, 120)]
    ]
    rows = MemoryRows()
    assert done(worker(frames="all"), needing({"b.tif": tiff()}, rows, left_by(["b.tif"])), rows) == [
        [(1, PageState.OK, 200), (2, PageState.SKIPPED, "lines: no row"), (3, PageState.SKIPPED, "lines: no row")]
    ]


def test_a_row_of_a_picture_that_the_file_has_no_more_is_an_error() -> None:
    rows = MemoryRows()
    table = left_by(["c.png", "c.png#2"], ok=[True] * 2)
    assert done(worker(), needing({"c.png": plain(7)}, rows, table), rows) == [
        [(1, PageState.OK, 7), (2, PageState.ERROR, "E_IMAGE_FRAME")]
    ]


def test_pictures_of_files_that_are_not_fetched() -> None:
    rows = MemoryRows()
    table = left_by(["b.tif", "b.tif#2"], ok=[True] * 2, source_etag=["x", "x"])
    volume = needing({"b.tif": RuntimeError("read")}, rows, table)
    NamesWorker.create({}, resources()).run(volume)
    assert [(one.frame, one.source_etag) for one in rows.flushed[0].every] == [(1, "x"), (2, "x")]


def test_pages_at_the_beginning_are_skipped_as_a_whole() -> None:
    rows = MemoryRows()
    volume = context({"b.tif": tiff()}, rows, skipped={"b.tif": "intro"})
    assert done(worker(frames="all"), volume, rows) == [[(1, PageState.SKIPPED, "intro")]]


def test_an_outcome_is_that_of_its_first_picture() -> None:
    second = PageOutcome(0, PageState.OK, frame=2)
    first = PageOutcome(0, PageState.ERROR, further=(second,))
    assert first.every == (first, second)
    assert second.every == (second,)
