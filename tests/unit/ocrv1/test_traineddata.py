import struct
from pathlib import Path

import pytest

from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1.engines import tesseract
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.traineddata import BadTraineddata, languages_named_in
from tests.unit.fakes import resources
from tests.unit.harmful_models import traineddata

NETWORK = {17: b"network"}


@pytest.mark.parametrize(
    "config",
    [
        b"tessedit_write_params_to_file /tmp/x",
        b"debug_file\t/tmp/x",
        b"  debug_file /tmp/x",
        b"chop_enable 1\r\nuser_words_file /etc/passwd",
        b"user_patterns_suffix x",
        b"output_ambig_words_file x",
        b"interactive_display_mode 1",
        b"tessedit_write_images 1",
        b"tessedit_dump_pageseg_images T",
        b"classify_save_adapted_templates 1",
        b"equationdetect_save_bi_image 1",
        b"textord_show_blobs 1",
        b"dotproduct native",
        b"chop_enable 1\0\ndebug_file x",
    ],
)
def test_a_language_that_has_files_written_read_or_shown_is_refused(config: bytes) -> None:
    with pytest.raises(BadTraineddata, match="sets Tesseract's variable"):
        languages_named_in(traineddata({0: config, **NETWORK}))


@pytest.mark.parametrize("named", [b"../eng", b"/tmp/eng", b"eng+../x", b"a b", b"eng/../../x", b"+"])
def test_languages_by_a_path_are_refused(named: bytes) -> None:
    with pytest.raises(BadTraineddata, match="by a path"):
        languages_named_in(traineddata({0: b"tessedit_load_sublangs " + named, **NETWORK}))


def test_languages_beside_it_are_named() -> None:
    config = b"tessedit_load_sublangs jpn_vert+~eng\nchop_enable 1\n# debug_file x\n"
    assert languages_named_in(traineddata({0: config, **NETWORK})) == ("jpn_vert", "eng")
    assert languages_named_in(traineddata(NETWORK)) == ()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is not data of Tesseract"),
        (b"\x18\0", "is not data of Tesseract"),
        (b"hello\n" * 50, "is not data of Tesseract"),
        (b"PK\x03\x04" + bytes(500), "is not data of Tesseract"),
        (struct.pack("<i", -1) + bytes(500), "is not data of Tesseract"),
        (struct.pack("<i", 1000) + bytes(500), "is not data of Tesseract"),
        (traineddata(NETWORK)[:100], "is not data of Tesseract"),
        (traineddata({}) + b"x", "is damaged"),
        (traineddata({0: b"chop_enable 1", **NETWORK})[:-10], "is damaged"),
        (struct.pack("<i2q", 2, 2**62, -1) + b"xx", "is damaged"),
        (struct.pack("<i2q", 2, 4, -1) + b"xx", "is damaged"),
        (struct.pack("<i2q", 2, 22, 20) + b"xxxx", "is damaged"),
        (traineddata({0: b"x" * 70_000, **NETWORK}), "has a config of 70000 bytes"),
        (traineddata({0: b"x " + b"y" * 4200 + b"debug_file z", **NETWORK}), "a line of"),
    ],
)
def test_what_is_no_language_is_reported(data: bytes, told: str) -> None:
    with pytest.raises(BadTraineddata, match=told):
        languages_named_in(data)


def opened(path: Path, **config: str) -> None:
    tesseract.load(Ocrv1Config.model_validate({"tessdata": str(path), **config}), resources())


def test_the_languages_that_a_language_loads_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "one.traineddata").write_bytes(traineddata({0: b"tessedit_load_sublangs two+gone", **NETWORK}))
    (tmp_path / "two.traineddata").write_bytes(traineddata({0: b"tessedit_load_sublangs one\ndebug_file x", **NETWORK}))
    for asked in ({"path": tmp_path, "language": "one"}, {"path": tmp_path / "one.traineddata"}):
        with pytest.raises(ConfigError, match=r"two\.traineddata' sets Tesseract's variable `debug_file`") as caught:
            opened(**asked)
        assert caught.value.code == "E_MODEL_INVALID"


@pytest.mark.parametrize("name", ["a b", "~a", "a++b", "..a", "བོད"])
def test_a_file_whose_name_means_something_else_to_tesseract_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.traineddata").write_bytes(traineddata(NETWORK))
    with pytest.raises(ConfigError, match="not a language of Tesseract"):
        opened(tmp_path / f"{name}.traineddata")
