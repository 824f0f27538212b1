"""Moving in from the earlier system: its database is read and never changed, and all that it holds is accounted for."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bec_orch.core.records.earlier import EARLIER_DATABASE
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from tests.acceptance.conftest import Bec, Ended, ok
from tests.support.earlier_system import EarlierSystem, etag_of
from tests.support.servers.postmasters import hba_file

_numbers = itertools.count(1)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_database: None) -> Path:
    """The destination, and the other settings of a machine that moves in."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_DEST_URL", folder.as_uri())
    # A source that holds nothing counts as missing.
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "about.txt").write_text("volumes")
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "archive").as_uri())
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    return folder


def made(server: str, name: str, results: Path) -> Iterator[EarlierSystem]:
    """Make its database under a name, and drop it afterwards."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo(server, dbname=name), autocommit=True) as its_own:
            yield EarlierSystem(its_own, results)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def earlier(server: str, results: Path) -> Iterator[EarlierSystem]:
    yield from made(server, f"earlier_{os.getpid()}_{next(_numbers)}", results)


@pytest.fixture
def under_its_own_name(server: str, results: Path) -> Iterator[EarlierSystem]:
    yield from made(server, EARLIER_DATABASE, results)


def dsn(earlier: EarlierSystem) -> str:
    return f"dbname={earlier.connection.info.dbname}"


def moved(bec: Bec, earlier: EarlierSystem, *more: str) -> Ended:
    return bec("db", "import", "--from", dsn(earlier), "--json", *more)


def of_job(report: Any, name: str) -> Any:
    return next(one for one in report["jobs"] if one["job"]["name"] == name)


def counts(report: Any, name: str) -> tuple[int, int, int, dict[str, int]]:
    done = of_job(report, name)["done"]
    return (*(done["intake"][key] for key in ("taken", "there", "unfinished")), done["left_out"])


def our_rows(conninfo: str) -> list[Any]:
    tables = (b"jobs", b"job_dependencies", b"volumes", b"tasks", b"task_attempts")
    with psycopg.connect(conninfo) as connection:
        return [connection.execute(b"SELECT * FROM " + table + b" ORDER BY 1, 2").fetchall() for table in tables]


class TestTakingOver:
    def test_jobs_volumes_and_finished_work_are_taken_once(
        self, bec: Bec, earlier: EarlierSystem, conninfo: str
    ) -> None:
        toy, fine = earlier.job("toy", '{"factor": 2}'), earlier.job("toy-fine")
        earlier.done(toy, "toy", "W1/I1")
        earlier.done(toy, "toy", "W1/I2")
        second = earlier.volume("W2/I1", intro=3)
        earlier.task(fine, second, etag_of("W2/I1"), status="running")
        earlier.task(fine, second, None, status="terminal_failed")
        before = earlier.everything()

        dry = ok(moved(bec, earlier, "--dry-run"))
        assert (dry.json["dry_run"], counts(dry.json, "toy")) == (True, (2, 0, 0, {}))
        assert bec("jobs", "list", "--json").json == []

        first = ok(moved(bec, earlier)).json
        assert counts(first, "toy") == (2, 0, 0, {})
        assert of_job(first, "toy")["job"]["verdict"] == "taken"
        assert of_job(first, "toy-fine")["undone"] == {"running": 1, "terminal_failed": 1}
        assert (first["volumes"]["intake"]["taken"], first["whole"]) == (3, True)

        rows = our_rows(conninfo)
        again = ok(moved(bec, earlier)).json
        assert counts(again, "toy") == (0, 2, 0, {})
        assert again["volumes"]["intake"] == {"taken": 0, "there": 3, "unfinished": 0}
        assert of_job(again, "toy")["job"]["verdict"] == "there already"
        assert our_rows(conninfo) == rows, "twice changes nothing"
        assert earlier.everything() == before

        assert ok(bec("jobs", "show", "toy", "--json")).json["config"]["factor"] == 2
        (task, *_) = ok(bec("jobs", "tasks", "toy", "--volume", "W1/I1", "--json")).json
        assert (task["state"], task["manifest_etag"]) == ("done", etag_of("W1/I1").hex())
        assert task["finished_at"].startswith("2025-03-01T12:00:00")
        assert (task["pages"], task["attempt"]) == ({"ok": 2, "skipped": 0, "error": 0}, 1)

    def test_without_a_host_it_is_on_the_server_of_local_mode(
        self, bec: Bec, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("BEC_SQL_HOST", "BEC_SQL_USER", "BEC_SQL_DATABASE"):
            monkeypatch.delenv(name)
        ok(bec("db", "init"))
        with EmbeddedPostgres(tmp_path / "home") as own:
            for earlier in made(own.conninfo, EARLIER_DATABASE, results):
                earlier.done(earlier.job("toy"), "toy", "W1/I1")
                assert counts(ok(bec("db", "import", "--from", "", "--json")).json, "toy") == (1, 0, 0, {})

    def test_a_dry_run_changes_nothing(self, bec: Bec, earlier: EarlierSystem, conninfo: str) -> None:
        ok(bec("jobs", "create", "toy"))
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        earlier.job("toy-more")
        before = our_rows(conninfo)
        for _ in range(2):
            report = ok(moved(bec, earlier, "--dry-run")).json
            assert (counts(report, "toy"), report["volumes"]["intake"]["taken"]) == ((1, 0, 0, {}), 1)
        assert our_rows(conninfo) == before

    def test_the_folder_of_its_artefacts_is_the_one_that_its_config_names(
        self, bec: Bec, earlier: EarlierSystem
    ) -> None:
        vision = earlier.job("google_vision_v1", '{"artifact_prefix": "gv"}')
        earlier.task(vision, earlier.volume("W1/I1"), etag_of("W1/I1"))
        earlier.artefact("gv", "W1/I1", etag_of("W1/I1"))
        earlier.job("toy", '{"artifact_prefix": "../toy"}')
        for how in (("--dry-run",), (), ()):
            report = moved(bec, earlier, *how).json
            assert of_job(report, "google_vision_v1")["job"]["config_left_out"] == ""
            assert of_job(report, "google_vision_v1")["done"]["left_out"] == {}
            assert of_job(report, "toy")["job"]["code"] == "E_JOB_NAME"
        shown = ok(bec("jobs", "show", "google_vision_v1", "--json")).json
        assert (shown["type"], shown["artifact_prefix"], shown["config"]) == ("google_vision_v1", "gv", {})
        assert ok(bec("audit", "google_vision_v1", "--json")).json["looked_at"]["foreign"] == 1

    def test_what_is_taken_is_done_for_everybody_else(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        ok(moved(bec, earlier))
        report = ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1", "--volume", "W9/I9", "--json")).json
        assert (report["skipped_done"], report["queued"]) == (1, 1)
        audited = ok(bec("audit", "toy", "--json")).json
        assert audited["looked_at"]["foreign"] == 1
        stats = ok(bec("jobs", "stats", "toy", "--json")).json
        assert (stats["pages"]["ok"], stats["pages_per_second_1h"]) == (2, None)
        assert ok(bec("jobs", "stale", "toy", "--json")).json == []

    def test_work_that_ended_just_now_is_no_throughput_of_ours(self, bec: Bec, earlier: EarlierSystem) -> None:
        toy = earlier.job("toy")
        for volume, ended in (("W1/I1", "now"), ("W1/I2", "infinity"), ("W1/I3", "9999-01-01"), ("W1/I4", None)):
            earlier.task(toy, earlier.volume(volume), etag_of(volume), done_at=ended)
            earlier.artefact("toy", volume, etag_of(volume))
        assert counts(ok(moved(bec, earlier)).json, "toy") == (4, 0, 0, {})
        assert ok(bec("jobs", "stats", "toy", "--json")).json["pages_per_second_1h"] is None

    def test_the_newest_version_counts(self, bec: Bec, earlier: EarlierSystem) -> None:
        toy, new = earlier.job("toy"), etag_of("a newer one")
        volume = earlier.volume("W1/I1", etag=new)
        for etag in (new, etag_of("W1/I1")):
            earlier.task(toy, volume, etag)
            earlier.artefact("toy", "W1/I1", etag)
        assert counts(ok(moved(bec, earlier)).json, "toy") == (2, 0, 0, {})
        assert ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1", "--json")).json["skipped_done"] == 1

    def test_many_come_in_portions(self, bec: Bec, earlier: EarlierSystem, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bec_orch.io.postgres.earlier._PORTION", 3)
        toy = earlier.job("toy")
        for number in range(8):
            earlier.done(toy, "toy", f"W1/I{number}")
        report = ok(moved(bec, earlier)).json
        assert (counts(report, "toy"), report["volumes"]["intake"]["taken"]) == ((8, 0, 0, {}), 8)

    def test_what_goes_on_here_goes_on(self, bec: Bec, earlier: EarlierSystem) -> None:
        ok(bec("jobs", "create", "toy"))
        ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1"))
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        report = ok(moved(bec, earlier)).json
        assert (of_job(report, "toy")["job"]["verdict"], counts(report, "toy")) == ("there already", (0, 0, 1, {}))
        assert [task["state"] for task in ok(bec("jobs", "tasks", "toy", "--json")).json] == ["queued"]

    def test_a_job_reads_from_the_one_that_its_name_ends_with(self, bec: Bec, earlier: EarlierSystem) -> None:
        for name in ("ocrv1-ws-ldv1-fine", "ldv1", "ocrv1-ws-ldv1", "ldv1-fine"):
            earlier.job(name)
        report = ok(moved(bec, earlier)).json
        assert [one["job"]["type"] for one in report["jobs"]] == ["ocrv1", "ldv1", "ocrv1", "ldv1"]
        needs = {job["name"]: job["depends_on"] for job in ok(bec("jobs", "list", "--json")).json}
        assert needs["ocrv1-ws-ldv1"] == ["ldv1"]
        assert needs["ocrv1-ws-ldv1-fine"] == ["ldv1-fine"]

    def test_the_table_shows_what_json_does(self, bec: Bec, earlier: EarlierSystem) -> None:
        toy = earlier.job("toy", '{"factor": 2, "old_key": 1}')
        earlier.done(toy, "toy", "W1/I1")
        earlier.task(toy, earlier.volume("W1/I2"), etag_of("W1/I2"))
        earlier.job("nobody-knows-v9")
        ended = bec("db", "import", "--from", dsn(earlier), "--dry-run")
        assert ended.code == 3
        assert "Nothing was changed: this was a dry run." in ended.out
        assert "volumes taken" in ended.out
        assert "E_EARLIER_ARTEFACT" in ended.out
        assert "where it has no meaning here: old_key." in ended.err
        assert "warning: E_JOB_TYPE: No installed job type is the beginning of the name 'nobody-knows-v9'." in ended.err


class TestLeftOut:
    def test_each_hostile_record_is_left_out_by_its_code(self, bec: Bec, earlier: EarlierSystem) -> None:
        toy = earlier.job("toy")
        earlier.done(toy, "toy", "W1/I1")
        for name in ("../I1", "W1/..", "W\n1/I2", " /I3", "W1/\x1b[2J", "W" * 300 + "/I4"):
            earlier.task(toy, earlier.volume(name), etag_of(name))
        of_others = earlier.volume("ocr_benchmark:W1/I1")
        earlier.task(toy, of_others, etag_of("v3"))
        versions = earlier.volume("W3/I1", etag=b"short")
        earlier.task(toy, versions, b"short")
        earlier.task(toy, versions, None)
        earlier.task(toy, earlier.volume("W3/I2"), etag_of("W3/I2"))
        for pages in (-1, 3):
            name = f"W4/I{pages}"
            earlier.task(toy, earlier.volume(name, images=None), etag_of(name), images=pages)
            earlier.artefact("toy", name, etag_of(name))
        earlier.volume("W5/I1", intro=-1)
        earlier.task(toy, 10**6, etag_of("no volume"))
        earlier.task(10**6, 1, etag_of("no job"))

        ended = moved(bec, earlier)
        assert ended.code == 3
        taken, there, unfinished, left_out = counts(ended.json, "toy")
        assert (taken, there, unfinished) == (1, 0, 0)
        assert left_out == {
            "E_NAME_UNSAFE": 7,
            "E_EARLIER_SOURCE": 1,
            "E_EARLIER_VERSION": 2,
            "E_EARLIER_ARTEFACT": 1,
            "E_EARLIER_PAGES": 2,
        }
        assert ended.json["volumes"]["left_out"] == {"E_NAME_UNSAFE": 6, "E_EARLIER_SOURCE": 1, "E_EARLIER_PAGES": 1}
        assert ended.json["of_no_job"] == 1
        told = bec("db", "import", "--from", dsn(earlier))
        assert "\x1b" not in told.out + told.err

    @pytest.mark.parametrize("told", ["{}", '{"total_images": 2, "nb_errors": 0}'])
    def test_pages_that_nobody_counted_are_the_rows(self, bec: Bec, earlier: EarlierSystem, told: str) -> None:
        earlier.task(earlier.job("toy"), earlier.volume("W1/I1", images=None), etag_of("W1/I1"), images=None)
        (earlier.artefact("toy", "W1/I1", etag_of("W1/I1")) / "success.json").write_text(told)
        ok(moved(bec, earlier))
        assert ok(bec("jobs", "tasks", "toy", "--json")).json[0]["pages"]["ok"] == 2

    @pytest.mark.parametrize("harm", ["gone", "cut"])
    def test_an_artefact_without_its_rows_leaves_its_task_out(
        self, bec: Bec, earlier: EarlierSystem, harm: str
    ) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        (file,) = earlier.results.rglob("*.parquet")
        if harm == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-9])
        assert counts(moved(bec, earlier).json, "toy") == (0, 0, 0, {"E_EARLIER_ARTEFACT": 1})

    def test_an_artefact_that_cannot_be_read_leaves_its_task_out(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        (success,) = earlier.results.rglob("success.json")
        success.write_text("[" * 100_000)
        assert counts(moved(bec, earlier).json, "toy") == (0, 0, 0, {"E_ARTEFACT_BROKEN": 1})

    def test_what_others_count_does_not_come_into_our_figures(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        (success,) = earlier.results.rglob("success.json")
        success.write_text('{"total_images": 2, "nb_errors": 0, "counters": {"E_X": 3}}')
        ok(moved(bec, earlier))
        assert ok(bec("jobs", "stats", "toy", "--json")).json["page_errors"] == {}

    @pytest.mark.parametrize(
        ("name", "config", "code"),
        [
            ("toy Upper", "{}", "E_JOB_NAME"),
            ("toy-factor", '{"factor": "many"}', "E_JOB_CONFIG"),
            ("toy-secret", '{"factor": 1e400}', "E_JOB_CONFIG"),
            ("ocrv1-lonely", "{}", "E_JOB_NEEDS"),
        ],
    )
    def test_a_job_that_cannot_be_made_is_left_out_with_its_tasks(
        self, bec: Bec, earlier: EarlierSystem, name: str, config: str, code: str
    ) -> None:
        earlier.done(earlier.job(name, config), name, "W1/I1")
        ended = moved(bec, earlier)
        job = of_job(ended.json, name)
        assert (ended.code, job["job"]["verdict"], job["job"]["code"]) == (3, "left out", code)
        assert job["done"]["left_out"] == {code: 1}
        assert "Make it with `bec jobs create`" in job["job"]["hint"]

    @pytest.mark.parametrize(
        ("config", "told"),
        [
            (None, ""),
            ("", ""),
            ("batch: 3", "all of it: it is no JSON object"),
            ("[1]", "all of it: it is no JSON object"),
            ("[" * 100_000, "all of it: it is no JSON object"),
            ('{"x": "' + "y" * 2**20 + '"}', "all of it: it is too long"),
            ('{"batch\\n": 3, "factor": 2}', "batch\\n"),
        ],
        ids=["none", "empty", "yaml", "list", "deep", "long", "keys"],
    )
    def test_of_a_config_what_has_no_meaning_here_is_reported(
        self, bec: Bec, earlier: EarlierSystem, config: str | None, told: str
    ) -> None:
        earlier.job("toy", config)
        assert of_job(ok(moved(bec, earlier)).json, "toy")["job"]["config_left_out"] == told

    def test_a_job_that_was_made_by_hand_gets_its_finished_work(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.done(earlier.job("nobody-knows-v9"), "nobody-knows-v9", "W1/I1")
        assert moved(bec, earlier).code == 3
        ok(bec("jobs", "create", "nobody-knows-v9", "--type", "toy"))
        assert counts(ok(moved(bec, earlier)).json, "nobody-knows-v9") == (1, 0, 0, {})


class TestTheOtherSide:
    def test_its_session_may_only_read(self, bec: Bec, earlier: EarlierSystem, monkeypatch: pytest.MonkeyPatch) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        # A view that writes when it is read stands for whatever else might.
        earlier.connection.execute(
            b"CREATE TABLE seen (at timestamptz); "
            b"CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS "
            b"'BEGIN INSERT INTO seen VALUES (now()); RETURN true; END'; "
            b"ALTER TABLE jobs RENAME TO real_jobs; "
            b"CREATE VIEW jobs AS SELECT * FROM real_jobs WHERE look()"
        )
        ended = bec("db", "import", "--from", dsn(earlier))
        assert ended.code == 1
        assert "read-only transaction" in ended.err
        assert earlier.connection.execute(b"SELECT count(*) FROM seen").fetchone() == (0,)

    def test_a_database_of_another_kind_is_refused(self, bec: Bec, results: Path, conninfo: str) -> None:
        name = conninfo_to_dict(conninfo)["dbname"]
        ended = bec("db", "import", "--from", f"dbname={name}")
        assert ended.code == 2
        assert ended.err.startswith(
            f"error E_EARLIER_SCHEMA: The database '{name}' of --from is not the earlier system's"
        )
        assert "task_executions.id" in ended.err

    def test_a_user_who_may_not_read_learns_what(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.job("toy")
        earlier.connection.execute(b"REVOKE ALL ON task_executions FROM bec_worker")
        earlier.connection.execute(b"GRANT SELECT ON jobs, volumes TO bec_worker")
        ended = bec("db", "import", "--from", f"{dsn(earlier)} user=bec_worker")
        assert (ended.code, ended.err.split(":")[0]) == (4, "error E_DB_RIGHTS")
        assert "does not let its user read task_executions." in ended.err
        assert "hint: Give its user SELECT on the tables jobs, volumes and task_executions, and no more." in ended.err

    def test_a_reader_with_no_other_right_is_enough(self, bec: Bec, earlier: EarlierSystem) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        earlier.connection.execute(b"GRANT SELECT ON jobs, volumes, task_executions TO bec_worker")
        ended = ok(bec("db", "import", "--from", f"{dsn(earlier)} user=bec_worker", "--json"))
        assert counts(ended.json, "toy") == (1, 0, 0, {})

    @pytest.mark.parametrize(
        ("value", "code", "exit_code"),
        [
            ("dbname=x password=canary-pw", "E_EARLIER_DSN", 2),
            ("postgresql://me:canary-pw@host/x", "E_EARLIER_DSN", 2),
            ("dbname=x canary-pw", "E_EARLIER_DSN", 2),
            ("dbname=x options=-ccanary-pw", "E_EARLIER_DSN", 2),
            ("dbname=none_such", "E_DB_MISSING", 4),
            ("host=127.0.0.1 port=1 dbname=x", "E_DB_AWAY", 1),
        ],
    )
    def test_what_cannot_be_connected_to_is_reported_without_secrets(
        self, bec: Bec, results: Path, value: str, code: str, exit_code: int
    ) -> None:
        ended = bec("--debug", "db", "import", "--from", value)
        assert ended.code == exit_code
        assert f"error {code}: " in ended.err
        assert "hint: " in ended.err
        assert "canary" not in ended.err + ended.out
        assert "BEC_SQL" not in ended.err.splitlines()[-1], "the hint is about --from"

    def test_its_password_comes_from_a_file_and_is_printed_nowhere(
        self, bec: Bec, earlier: EarlierSystem, server: str, tmp_path: Path
    ) -> None:
        earlier.done(earlier.job("toy"), "toy", "W1/I1")
        earlier.connection.execute(
            b"SET password_encryption = 'scram-sha-256'; CREATE ROLE its_reader LOGIN PASSWORD 'canary-9f3a'; "
            b"GRANT SELECT ON jobs, volumes, task_executions TO its_reader"
        )
        hba = hba_file(server)
        before = hba.read_text()
        hba.write_text(f"local all its_reader scram-sha-256\n{before}")
        earlier.connection.execute(b"SELECT pg_reload_conf()")
        try:
            file = tmp_path / "password"
            line = ("--debug", "db", "import", "--from", f"{dsn(earlier)} user=its_reader")
            file.write_text("canary-wrong\n")
            for ended in (bec(*line), bec(*line, "--password-file", file)):
                assert (ended.code, "error E_DB_AUTH" in ended.err) == (4, True)
                assert "canary" not in ended.out + ended.err
                assert "hint: Check the user in --from, and its password: --password-file" in ended.err
            file.write_text("canary-9f3a\n")
            taken = ok(bec(*line, "--password-file", file, "--json"))
            assert counts(taken.json, "toy") == (1, 0, 0, {})
            assert "canary" not in taken.out + taken.err
        finally:
            hba.write_text(before)
            earlier.connection.execute(b"SELECT pg_reload_conf(); DROP OWNED BY its_reader; DROP ROLE its_reader")

    def test_encodings_of_that_database_end_nothing(self, bec: Bec, earlier: EarlierSystem) -> None:
        toy = earlier.job("toy")
        earlier.done(toy, "toy", "W1/I1")
        earlier.connection.execute(b"SET client_encoding = 'SQL_ASCII'")
        earlier.done(toy, "toy", "W\u0f40/I1")
        assert counts(ok(moved(bec, earlier)).json, "toy") == (2, 0, 0, {})


class TestItsDatabase:
    def test_init_says_what_it_found_and_touches_nothing(
        self, bec: Bec, earlier: EarlierSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        earlier.job("toy")
        before = earlier.everything()
        name = earlier.connection.info.dbname
        monkeypatch.setenv("BEC_SQL_DATABASE", name)
        for command in (("db", "init"), ("db", "status"), ("jobs", "list"), ("worker", "--job", "toy")):
            ended = bec(*command)
            error, hint = ended.err.splitlines()[-2:]
            assert ended.code == 4
            assert error.startswith(f"error E_DB_EARLIER: The database '{name}' is the earlier system's")
            assert "jobs, task_executions, volumes, workers" in error
            assert f"`bec db import --from dbname={name}`" in hint
        assert "E_DB_EARLIER" in bec("doctor").out
        tables = earlier.connection.execute(
            b"SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        ).fetchall()
        assert [table for (table,) in tables] == ["jobs", "task_executions", "volumes", "workers"]
        assert earlier.everything() == before

    def test_tables_of_others_are_reported_too(
        self, bec: Bec, earlier: EarlierSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        earlier.connection.execute(
            b"DROP TABLE task_executions, volumes; CREATE TABLE schema_migrations (version text)"
        )
        monkeypatch.setenv("BEC_SQL_DATABASE", earlier.connection.info.dbname)
        ended = bec("db", "init")
        assert (ended.code, ended.err.split(":")[0]) == (4, "error E_DB_TAKEN")
        assert "would have: jobs, schema_migrations, workers." in ended.err

    def test_a_missing_database_names_the_other(
        self, bec: Bec, under_its_own_name: EarlierSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEC_SQL_DATABASE", "nonesuch")
        ended = bec("db", "init")
        assert (ended.code, ended.err.split(":")[0]) == (4, "error E_DB_MISSING")
        assert "The server has pipeline_v1, as the earlier system calls its database" in ended.err
        monkeypatch.delenv("BEC_SQL_DATABASE")

    def test_it_is_found_under_its_own_name(self, bec: Bec, under_its_own_name: EarlierSystem) -> None:
        under_its_own_name.done(under_its_own_name.job("toy"), "toy", "W1/I1")
        assert counts(ok(bec("db", "import", "--from", "", "--json")).json, "toy") == (1, 0, 0, {})
