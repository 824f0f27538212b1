"""The guards around the library's earlier system: its artefacts, its readers, its errors."""

from tests.mutants.mutant import Edit, Mutant

_CONVENTIONAL = "io/artefacts/conventional.py"
_STORES = "tests/conformance/test_stores.py"
_COLUMNS = "tests/unit/test_earlier_columns.py"

EARLIER = (
    Mutant(
        "conventional-name-of-others",
        "a file of others that has the conventional name is never replaced",
        (
            Edit(
                _CONVENTIONAL,
                "    return None if _is_made_by(objects, there, owner) else False\n",
                "    return None\n",
            ),
        ),
        (_STORES,),
    ),
    Mutant(
        "conventional-name-older",
        "of two copies by the conventional name, the one of the older success.json does not win",
        (
            Edit(
                _CONVENTIONAL,
                "objects.replace(key, blob.data, version)",
                "objects.replace(key, blob.data, str(objects.version_at(key)))",
            ),
        ),
        (_STORES,),
    ),
    Mutant(
        "conventional-name-taken-back",
        "what is taken back is not read under the conventional name either",
        (Edit("io/artefacts/artefacts.py", "        remove_copy(self._objects, self._owner, location)\n", ""),),
        (_STORES,),
    ),
    Mutant(
        "conventional-name-removed-of-others",
        "a file of others keeps the conventional name when the success.json beside it is taken back",
        (Edit(_CONVENTIONAL, "    if there and _is_made_by(objects, there, owner):\n", "    if there:\n"),),
        (_STORES,),
    ),
    Mutant(
        "class-of-an-error",
        "no rule goes by the class that the earlier system left for a page that is an error",
        (
            Edit(
                "jobs/earlier/columns.py",
                "pa.array(_where(ok, _values(rows, name, kind)), kind)",
                "pa.array(_values(rows, name, kind), kind)",
            ),
        ),
        (_COLUMNS,),
    ),
    Mutant(
        "contours-out-of-the-page",
        "contours of others that reach out of the page do not make the picture of a line as large as they say",
        (
            Edit(
                "jobs/ocrv1/found_lines.py",
                "tuple(on_pixels(contour.astype(np.float64), width, height) for contour in found)",
                "found",
            ),
            Edit("jobs/ocrv1/found_lines.py", "import bounding_box, on_pixels\n", "import bounding_box\n"),
        ),
        (_COLUMNS,),
    ),
)
