"""Lists of volumes from people: good lines, bad lines, and hostile names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import NameUnsafeError, UsageError
from bec_orch.orch.backlog.volume_lists import choose, parse_volume, parse_volume_list

SOURCE = "bdrc+s3://archive"
OTHER = "folder+file:///scans,2024"


def test_reads_lines_comments_and_blanks() -> None:
    lines = ["\ufeff# volumes", "", "W1,I1", "  W1 , I2 ", f"W2,I1,{OTHER}", "W2,I2,", "W1,I1", "བོད,ཀ ཁ"]
    found = parse_volume_list(lines, SOURCE)
    assert found.volumes == (
        VolumeRef("W1", "I1", SOURCE),
        VolumeRef("W1", "I2", SOURCE),
        VolumeRef("W2", "I1", OTHER),
        VolumeRef("W2", "I2", SOURCE),
        VolumeRef("བོད", "ཀ ཁ", SOURCE),
    )
    assert (found.repeated, found.faults) == (1, ())


def test_tells_bad_lines_by_number_and_goes_on() -> None:
    lines = [
        "W1,I1",
        "W1",
        "../x,I1",
        "W1,..",
        "W1,",
        ",I1",
        "a\0,I1",
        "\udcff,I1",
        "W1,I1,elsewhere",
        "W1,I2,+",
        "W1,I3",
    ]
    found = parse_volume_list(lines, SOURCE)
    assert [volume.i_id for volume in found.volumes] == ["I1", "I3"]
    assert [fault.line for fault in found.faults] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert all("\0" not in fault.message for fault in found.faults)


def test_list_without_one_good_line_is_refused() -> None:
    with pytest.raises(UsageError, match="line 2") as caught:
        parse_volume_list(["# names", "W1 I1"], SOURCE)
    assert caught.value.code == "E_VOLUME_LIST"


def test_empty_list_is_empty() -> None:
    assert parse_volume_list(["", "# nothing"], SOURCE).volumes == ()


@given(st.lists(st.text()))
def test_any_text_is_read_or_told(lines: list[str]) -> None:
    try:
        found = parse_volume_list(["W1,I1", *lines], SOURCE)
    except UsageError:
        pytest.fail("a good line is there")
    assert VolumeRef("W1", "I1", SOURCE) in found.volumes
    assert len(found.volumes) + len(found.faults) + found.repeated <= 1 + len(lines)


def test_volume_of_the_command_line() -> None:
    assert parse_volume("W22084/I0886", SOURCE) == VolumeRef("W22084", "I0886", SOURCE)
    with pytest.raises(UsageError, match="W22084"):
        parse_volume("W22084", SOURCE)
    for hostile in ("../I1", "W1/../I1", "/I1", "W1/"):
        with pytest.raises(NameUnsafeError):
            parse_volume(hostile, SOURCE)


class TestChoose:
    volumes = tuple(VolumeRef("W1", f"I{n:03d}", SOURCE) for n in range(100))

    def test_everything(self) -> None:
        assert choose(self.volumes) == list(self.volumes)

    def test_limit(self) -> None:
        assert choose(self.volumes, limit=3) == list(self.volumes[:3])
        assert choose(self.volumes, limit=0) == []

    def test_sample_is_the_same_for_the_same_seed_and_in_order(self) -> None:
        first = choose(self.volumes, sample=10, seed=1)
        assert first == choose(self.volumes, sample=10, seed=1) == sorted(first)
        assert len(first) == 10
        assert first != choose(self.volumes, sample=10, seed=2)

    def test_sample_of_more_than_there_are(self) -> None:
        assert choose(self.volumes, sample=1000) == list(self.volumes)

    def test_sample_then_limit(self) -> None:
        assert choose(self.volumes, sample=10, limit=4) == choose(self.volumes, sample=10)[:4]
