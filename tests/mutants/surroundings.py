"""The guards against what lies in folders: files that are none, links of others, and folders of others."""

from tests.mutants.mutant import Edit, Mutant

_FOLDERS = "io/stores/folders.py"
_SPECIAL = "tests/unit/test_special_files.py"

SURROUNDINGS = (
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
        (f"{_SPECIAL}::test_a_config_of_a_model_that_is_a_folder_is_told",),
    ),
    Mutant(
        "truth-that-is-no-file-ends-the-volume",
        "ground truth that is no file is the error of its page",
        (Edit("jobs/evalv1/truth.py", "except NotAFile as error:", "except ZeroDivisionError as error:"),),
        (f"{_SPECIAL}::test_truth_that_is_none_is_the_error_of_its_page",),
    ),
)
