"""Lists of volumes from people: good lines, bad lines, and hostile names."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.orch.backlog.volume_lists import choose, parse_volume, parse_volume_list

SOURCE = "bdrc+s3://archive"
OTHER = "folder+file:///scans,2024"


def test_reads_lines_comments_and_blanks() -> None:
    lines = ["\ufeff# volumes", "", "W1,I1", "  W1 , I2 ", f'W2,I1,"{OTHER}"', "W2,I2,", "W1,I1", "བོད,ཀ ཁ"]
    found = parse_volume_list(lines, SOURCE)
    assert found.volumes == (
        VolumeRef("W1", "I1", SOURCE),
        VolumeRef("W1", "I2", SOURCE),
        VolumeRef("W2", "I1", OTHER),
        VolumeRef("W2", "I2", SOURCE),
        VolumeRef("བོད", "ཀ ཁ", SOURCE),
    )
    assert (found.repeated, found.versions, found.faults) == (1, 0, ())


@pytest.mark.parametrize(
    "line",
    [
        "W22084,I0887",
        "W22084 I0887",
        "W22084 \t  I0887",
        "W22084\tI0887",
        "W22084/I0887",
        '"W22084","I0887"',
        '"W22084"\t"I0887"',
        "W22084,I0887\r\n",
        "\ufeffW22084,I0887",
        "W22084,I0887,,,",
        "W22084,I0887,bdrc",
    ],
)
def test_forms_of_a_line(line: str) -> None:
    found = parse_volume_list([line], SOURCE)
    assert found.volumes == (VolumeRef("W22084", "I0887", SOURCE),)
    assert (found.versions, found.faults) == (0, ())


@pytest.mark.parametrize(
    "line",
    ["W1,I1,folder+file:///a", "W1 I1 folder+file:///a", "W1\tI1\tfolder+file:///a", "W1/I1,folder+file:///a"],
)
def test_every_form_may_name_a_source(line: str) -> None:
    assert parse_volume_list([line], SOURCE).volumes == (VolumeRef("W1", "I1", "folder+file:///a"),)


def test_lines_that_name_a_version_are_counted() -> None:
    etag = "d41d8cd98f00b204e9800998ecf8427e"
    lines = [f"W1,I1,{OTHER.partition(',')[0]},a1b2c3", f"W1,I2,,{etag}", f"W1\tI3\t\t{etag}-12", "W1,I4"]
    found = parse_volume_list(lines, SOURCE)
    assert [volume.i_id for volume in found.volumes] == ["I1", "I2", "I3", "I4"]
    assert (found.versions, found.faults) == (3, ())


@pytest.mark.parametrize(
    "header", ["w_id,i_id", "W_ID\tI_ID", "w_id,i_id,source,version", '"w_id","i_id"', "w_id i_id"]
)
def test_headers_name_no_volume(header: str) -> None:
    found = parse_volume_list(["# of two files", header, "W1,I1", f"\ufeff{header}", "W1,I2"], SOURCE)
    assert [volume.i_id for volume in found.volumes] == ["I1", "I2"]
    assert found.faults == ()


@pytest.mark.parametrize("header", ["i_id,w_id", "w_id,title,i_id", "w_id", "w_id,i_id,version"])
def test_columns_in_another_order_are_refused(header: str) -> None:
    with pytest.raises(UsageError, match="Line 1 names the columns") as caught:
        parse_volume_list([header, "I1,W1"], SOURCE)
    assert caught.value.code == "E_VOLUME_LIST"


def test_reports_bad_lines_by_number_and_goes_on() -> None:
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
        "W1,I1,folder+file:///scans,2024",
        "W1,I1,folder+file:///scans,a1b2c3,x",
        'W1,"I1',
        "W1/I1/p1",
        "W1;I1",
        "W1,I3",
    ]
    found = parse_volume_list(lines, SOURCE)
    assert [volume.i_id for volume in found.volumes] == ["I1", "I3"]
    assert [fault.line for fault in found.faults] == list(range(2, len(lines)))
    assert all("\0" not in fault.message for fault in found.faults)


def test_a_line_without_a_source_where_there_is_no_default_one_says_so() -> None:
    (fault,) = parse_volume_list(["W1,I1", "W1,I2,folder+file:///x"], "").faults
    assert fault.message == "It names no source, and there is no default one (--source, BEC_SOURCE_URL)."


def test_list_without_one_good_line_is_refused() -> None:
    with pytest.raises(UsageError, match="line 2") as caught:
        parse_volume_list(["# names", "W1;I1"], SOURCE)
    assert caught.value.code == "E_VOLUME_LIST"


def test_empty_list_is_empty() -> None:
    assert parse_volume_list(["", "# nothing"], SOURCE).volumes == ()


@given(st.lists(st.text()))
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    assume(not any(name in line.lower() for line in lines for name in ("w_id", "i_id")))
    found = parse_volume_list(["W1,I1", *lines], SOURCE)
    assert VolumeRef("W1", "I1", SOURCE) in found.volumes
    assert len(found.volumes) + len(found.faults) + found.repeated <= 1 + len(lines)


def test_volume_of_the_command_line() -> None:
    assert parse_volume("W22084/I0886", SOURCE) == VolumeRef("W22084", "I0886", SOURCE)
    with pytest.raises(UsageError, match="W22084"):
        parse_volume("W22084", SOURCE)
    for hostile in ("../I1", "W1/../I1", "/I1", "W1/"):
        with pytest.raises(UsageError) as caught:
            parse_volume(hostile, SOURCE)
        assert caught.value.code == "E_NAME_UNSAFE"
        assert "W_ID/I_ID" in caught.value.hint


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
