"""The guards against what lies in folders: files that are none, links of others, and folders of others."""

from tests.mutants.mutant import Edit, Mutant

_DATABASE = "tests/integration/test_database.py"
_FOLDERS = "io/stores/folders.py"
_DEATHS = "tests/integration/test_deaths.py"
_AWAY = "tests/integration/test_away.py"
_BOUNDS = "tests/unit/test_bounds.py"
_HOME = "tests/unit/test_own_home.py"
_OPERATORS = "tests/acceptance/test_cli_operators.py"
_REFUSED = "test_volumes_of_a_source_that_is_not_there_are_refused_however_they_are_named"
_OWN = "core/own_home.py"
_RUN = "tests/acceptance/test_cli_run.py"
_REPAIRS = "orch/audit/repairs.py"
_SCALING = "tests/integration/test_local_scaling.py"
_SIGNALS = "tests/unit/test_cli_signals.py"
_SOURCES = "tests/unit/test_sources.py"
_SPECIAL = "tests/unit/test_special_files.py"

SURROUNDINGS = (
    Mutant(
        "exported-pdfs-are-scans",
        "documents that an export wrote among scans are no pages of them",
        (Edit("io/sources/exported.py", "if len(folder) <= 1 or record_name", "if folder or record_name"),),
        (f"{_SOURCES}::TestDocumentsInTheScans::test_are_no_pages_and_counted",),
    ),
    Mutant(
        "pdfs-named-like-exports-are-left-out",
        "somebody's PDF that is named like a document is a page where no export wrote one",
        (
            Edit(
                "io/sources/exported.py",
                'len(folder) <= 1 or record_name("pdf-volume") not in files',
                "len(folder) <= 1",
            ),
        ),
        (f"{_SOURCES}::TestDocumentsInTheScans::test_a_pdf_of_that_name_without_their_record_is_a_page",),
    ),
    Mutant(
        "dead-workers-look-alive",
        "a worker whose process is known to have died is at nothing any more",
        (Edit("orch/runs/post_mortem.py", "        deaths.end_worker(left.worker, cause.code)\n", ""),),
        (f"{_DEATHS}::test_a_worker_that_died_is_at_nothing_any_more_and_one_that_signed_off_stays_so",),
    ),
    Mutant(
        "empty-folders-of-a-workspace-are-told",
        "a folder without images that a workspace made is no volume that lacks them",
        (Edit("io/workspace.py", "return _ROOMS if _is_workspace(files) else frozenset()", "return frozenset()"),),
        (f"{_SOURCES}::TestWorkspaceInTheScans::test_has_no_folders_that_lack_images",),
    ),
    Mutant(
        "volumes-of-no-source-are-enqueued",
        "volumes of a source that is not there are refused before they have a task",
        (Edit("cli/arguments/scans.py", "            if error.code in NOT_THERE:\n                raise\n", ""),),
        (f"{_OPERATORS}::{_REFUSED}",),
    ),
    Mutant(
        "empty-sources-are-there",
        "a source that is empty, as a mount point is without its disk, counts as missing",
        (
            Edit(
                "io/sources/trees.py",
                "        self._objects.check_there()\n\n    @override",
                "        self.check_readable()\n\n    @override",
            ),
        ),
        (f"{_OPERATORS}::{_REFUSED}",),
    ),
    Mutant(
        "overlays-are-scans",
        "pictures that a workspace wrote beside scans are not taken for scans",
        (Edit("io/sources/trees.py", 'startswith(".") and folder not in own]', 'startswith(".")]'),),
        (f"{_SOURCES}::TestWorkspaceInTheScans::test_is_no_scan_and_counted",),
    ),
    Mutant(
        "scans-are-taken-for-what-a-workspace-wrote",
        "folders that are named like those of a workspace are done where there is none",
        (
            Edit(
                "io/workspace.py",
                "return IDENTITY_FILE in files and not _MARKS.isdisjoint(files)",
                "return IDENTITY_FILE in files or not _MARKS.isdisjoint(files)",
            ),
        ),
        (f"{_SOURCES}::TestWorkspaceInTheScans::test_folders_of_its_names_are_scans_where_no_workspace_is",),
    ),
    Mutant(
        "volumes-of-a-name-elsewhere-count-as-moved",
        "what is to be done of a volume is canceled only where that volume lies no more",
        (
            Edit(
                "orch/runs/local_run.py",
                "gone = {fault.volume for fault in faults if fault.code in NOT_THERE}",
                "gone = set(others) or {fault.volume for fault in faults if fault.code in NOT_THERE}",
            ),
        ),
        (f"{_RUN}::test_a_volume_of_the_same_name_that_is_still_there_is_done_too_and_not_counted",),
    ),
    Mutant(
        "system-user-made-by-all-at-once",
        "of those that begin at the same time on a fresh machine, one makes the system user",
        (Edit("io/postgres/embedded/programs.py", "            if not _is_there():\n", "            if command:\n"),),
        (
            "tests/integration/test_embedded.py::TestPrograms::test_system_user_is_made_once_by_all_who_begin_at_the_same_time",
        ),
    ),
    Mutant(
        "special-files-are-opened",
        "what is no file is refused before it is opened",
        (
            Edit(
                _FOLDERS,
                "        if kind:\n            raise NotAFile",
                "        if kind is None:\n            raise NotAFile",
            ),
        ),
        (f"{_SPECIAL}::TestSources::test_a_folder_with_the_name_of_a_listed_page_is_a_page_error",),
    ),
    Mutant(
        "special-files-are-not-listed",
        "a pipe with the name of a page is accounted for",
        (
            Edit(
                _FOLDERS,
                "elif not _STAGED.search(entry.name):",
                "elif not _STAGED.search(entry.name) and (entry.is_symlink() or entry.is_file()):",
            ),
        ),
        (f"{_SPECIAL}::TestSources::test_a_page_that_is_no_file_is_listed_and_a_page_error",),
    ),
    Mutant(
        "configs-of-models-are-opened-whatever-they-are",
        "a model's config that is a pipe is not waited for",
        (Edit("jobs/shared/model_config.py", "if file.exists() and not file.is_file():", "if not file.name:"),),
        (f"{_SPECIAL}::test_a_config_of_a_model_that_is_a_folder_is_reported",),
    ),
    Mutant(
        "truth-that-is-no-file-ends-the-volume",
        "ground truth that is no file is the error of its page",
        (Edit("jobs/evalv1/truth.py", "except NotAFile as error:", "except ZeroDivisionError as error:"),),
        (f"{_SPECIAL}::test_truth_that_is_none_is_the_error_of_its_page",),
    ),
    Mutant(
        "nobody-ends-what-hangs",
        "a process whose threads hang in the kernel ends after a signal",
        (Edit("cli/main.py", "        interrupts.end_what_hangs(interrupted or 1)\n", ""),),
        (f"{_SIGNALS}::test_what_hangs_where_no_signal_reaches_it_ends_all_the_same",),
    ),
    Mutant(
        "who-asks-again-waits-as-long",
        "a second signal after long shortens the wait for what hangs",
        (Edit("cli/process/interrupts.py", "end_by = min(end_by, time.monotonic() + _ASKED_AGAIN)", "pass"),),
        (f"{_SIGNALS}::test_who_asks_again_after_long_does_not_wait_for_the_grace",),
    ),
    Mutant(
        "nohup-is-not-heeded",
        "a signal that the shell has a process pass over does not end it",
        (Edit("cli/process/interrupts.py", " if signal.getsignal(number) is not signal.SIG_IGN)", ")"),),
        (f"{_SIGNALS}::test_nohup_is_heeded",),
    ),
    Mutant(
        "who-ends-itself-is-charged",
        "a process that hung and ended itself is charged to no task",
        (Edit("orch/runs/post_mortem.py", "LATE if left.late else ", ""),),
        ("tests/integration/test_deaths.py::test_who_is_killed_because_it_did_not_stop_in_time_is_charged_to_nobody",),
    ),
    Mutant(
        "homes-of-others",
        "a home that is another user's is refused before anything in it is touched",
        (Edit(_OWN, "        if owner not in {os.geteuid(), _ROOT}:\n", "        if owner < 0:\n"),),
        (f"{_HOME}::test_a_home_of_another_user_is_refused",),
    ),
    Mutant(
        "links-of-others",
        "a link that somebody else made leads nobody elsewhere",
        (Edit(_OWN, '((False, "link" if path.is_symlink() else "folder"), (True, "folder"))', '((True, "folder"),)'),),
        (f"{_HOME}::test_a_link_that_a_user_made_is_refused_wherever_it_leads",),
    ),
    Mutant(
        "homes-in-folders-of-others",
        "root makes no home in a user's folder",
        (Edit(_OWN, "            _require_own(above)\n", "            pass\n"),),
        (f"{_HOME}::test_root_makes_no_home_in_a_users_folder_but_in_everybodys",),
    ),
    Mutant(
        "run-locks-of-others",
        "a run locks no workspace of somebody else's",
        (Edit("io/workspace.py", "            require_own_home(self._folder)\n", ""),),
        (f"{_HOME}::test_a_home_of_a_user_is_refused_to_root",),
    ),
    Mutant(
        "logs-follow-links",
        "nothing is appended through a link",
        (Edit("core/locks.py", " | os.O_NOFOLLOW", ""),),
        (f"{_HOME}::test_nothing_is_appended_to_what_is_no_file",),
    ),
    Mutant(
        "files-are-written-through-links",
        "what is renamed into its place is written through no link",
        (
            Edit(
                "io/own_files.py",
                '            with fresh.open("xb") as made:',
                '            with fresh.open("wb") as made:',
            ),
            Edit("io/own_files.py", "        fresh.unlink(missing_ok=True)\n        try:\n", "        try:\n"),
        ),
        ("tests/unit/test_own_files.py::test_what_is_renamed_into_its_place_is_written_through_no_link",),
    ),
    Mutant(
        "workers-are-started-as-planned",
        "a worker that was started meanwhile is not started twice",
        (Edit("orch/machines/local.py", "                if self._runs(number):\n                    return\n", ""),),
        (f"{_SCALING}::test_two_that_plan_at_once_start_what_was_asked_for",),
    ),
    Mutant(
        "workers-are-started-side-by-side",
        "who starts workers does it alone",
        (
            Edit(
                "orch/machines/local.py",
                "            while not try_lock(file):",
                "            while try_lock(file) is None:",
            ),
        ),
        (f"{_SCALING}::test_who_starts_workers_is_alone",),
    ),
    Mutant(
        "workers-of-others-are-forgotten",
        "the file of a worker that took over a number stays",
        (
            Edit(
                "orch/machines/local.py",
                "                if not self._runs(one.number):\n",
                "                if one:\n",
            ),
        ),
        (f"{_SCALING}::test_a_worker_that_took_over_a_number_is_not_forgotten",),
    ),
    Mutant(
        "any-destination-will-do",
        "no command works on another destination than the one that a home's tasks were finished in",
        (
            Edit(
                "cli/composition/parts.py",
                "            require_destination(self.settings.home, self.settings.dest_url)\n",
                "            pass\n",
            ),
        ),
        ("tests/acceptance/test_cli_run.py::test_no_later_command_works_on_another_destination_than_the_run",),
    ),
    Mutant(
        "times-without-end",
        "a time of a setting is a number that clocks and queues know",
        (
            Edit(
                "settings/config.py",
                "Seconds = Annotated[float, Field(gt=0, le=_WEEK)]",
                "Seconds = Annotated[float, Field(gt=0)]",
            ),
        ),
        (f"{_BOUNDS}::test_every_number_has_bounds",),
    ),
    Mutant(
        "configs-nested-without-end",
        "a config that is nested too deeply is reported as one",
        (
            Edit(
                "cli/arguments/options.py",
                "except (ValueError, RecursionError) as error:",
                "except ValueError as error:",
            ),
        ),
        (f"{_BOUNDS}::test_a_config_that_is_no_json_is_reported",),
    ),
    Mutant(
        "numbers-that-are-none",
        "a config holds no number that a database does not take",
        (Edit("cli/arguments/options.py", ", parse_constant=_refuse_constant", ""),),
        (f"{_BOUNDS}::test_a_config_that_is_no_json_is_reported",),
    ),
    Mutant(
        "lines-about-us-that-nobody-reads",
        "a line of .env that names a setting and cannot be read is reported",
        (Edit("settings/env_file.py", " and _names_ours(line.original.string):", " and not line.original.string:"),),
        ("tests/unit/test_env_file.py::test_a_line_about_us_that_cannot_be_read_is_reported",),
    ),
    Mutant(
        "audits-redo-what-an-empty-store-lacks",
        "an audit does nothing again because an empty destination lacks it",
        (
            Edit(
                _REPAIRS,
                "        self._artefacts.check_there()\n        return self._reopen_tasks(violation)",
                "        return self._reopen_tasks(violation)",
            ),
        ),
        (f"{_AWAY}::TestDestination::test_an_audit_mends_nothing_in_an_empty_destination",),
    ),
    Mutant(
        "audits-take-back-in-an-empty-store",
        "an audit takes nothing for taken back because an empty destination lacks it",
        (
            Edit(
                _REPAIRS,
                "        location = violation.location\n        self._artefacts.check_there()\n",
                "        location = violation.location\n",
            ),
        ),
        (f"{_AWAY}::TestDestination::test_an_audit_takes_nothing_back_in_an_empty_destination",),
    ),
    Mutant(
        "a-full-disk-is-away",
        "a connection that begins on a full disk is reported as that",
        (Edit("io/postgres/errors.py", "No space left on device|Disk quota exceeded", "no such words"),),
        (f"{_DATABASE}::test_no_room_at_the_beginning_of_a_connection_is_reported_as_that",),
    ),
    Mutant(
        "looking-migrates",
        "who finds the schema current writes nothing",
        (Edit("io/postgres/migrate.py", "if schema_status(database).is_current:", "if database is None:"),),
        (f"{_DATABASE}::test_who_finds_the_schema_current_writes_nothing",),
    ),
    Mutant(
        "shortages-are-faults-of-the-home",
        "what the machine lacks is reported as that, not as a fault of the folder",
        (Edit("io/postgres/embedded/embedded.py", "            if lacking:\n", "            if lacking is error:\n"),),
        ("tests/integration/test_embedded_rights.py::test_what_the_machine_lacks_is_no_fault_of_the_folder",),
    ),
)
