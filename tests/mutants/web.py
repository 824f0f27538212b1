"""The guards of the server: who is let in, what leaves it, and how much is done for one who asks."""

from tests.mutants.mutant import Edit, Mutant

_GUARD = "web/door/guard.py"
_GUARD_TESTS = "tests/unit/web/test_guard.py"
_TABLES_TESTS = "tests/unit/web/test_tables.py"
_NAMESAKES = "orch/overview/namesakes.py"
_NAMESAKES_TESTS = "tests/unit/orch/test_namesakes.py"
_REQUEST_TESTS = "tests/unit/web/test_picture_requests.py"

WEB = (
    Mutant(
        "view-of-the-whole-disk",
        "a folder that nobody can have meant is not looked through to its end",
        (Edit("io/sources/detect.py", "        if most is not None and seen > most:\n", "        if False:\n"),),
        ("tests/unit/test_sources.py",),
    ),
    Mutant(
        "source-that-is-named-passed-over",
        "of two volumes of one name, the one of the source that was named is looked at",
        (Edit(_NAMESAKES, "if not source or is_of_source(task.volume, source)]", "if True]"),),
        (_NAMESAKES_TESTS,),
    ),
    Mutant(
        "picture-of-a-namesake",
        "the pictures of a version are looked for in the source that has this version",
        (Edit(_NAMESAKES, 'lambda task: version is None or version_of(task.manifest_etag or "") == version', "bool"),),
        (_NAMESAKES_TESTS,),
    ),
    Mutant(
        "view-of-a-namesake",
        "who opens a folder sees its volume, and not a newer one of that name elsewhere",
        (Edit("cli/serve/view.py", "source=volume.source, job=job", "job=job"),),
        ("tests/acceptance/test_cli_sources.py::test_view_opens_the_volume_of_the_path",),
    ),
    Mutant(
        "lines-of-a-namesake",
        "lines are never shown over the pictures of another volume of that name",
        (Edit("orch/overview/layers.py", "if (task.job, task.volume) == (job, volume)]", "if task.job == job]"),),
        ("tests/unit/orch/test_layers.py",),
    ),
    Mutant(
        "web-picture-of-another-version",
        "what was found on one picture is not shown over the one that took its place",
        (Edit("web/pictures/pictures.py", "        if now != version:\n", "        if False:\n"),),
        ("tests/unit/web/test_pictures.py",),
    ),
    Mutant(
        "web-picture-replaced-since-it-was-listed",
        "a file that was replaced while the list of its volume is kept is not taken for the one that was listed",
        (Edit("web/pictures/pictures.py", "if page.etag is not None and not same_etag", "if False and not same_etag"),),
        ("tests/unit/web/test_pictures.py",),
    ),
    Mutant(
        "web-all-is-for-all",
        "without the token nobody gets anything but the files of the package",
        (Edit(_GUARD, 'request.scope["path"].startswith(_FOR_ALL)', "_FOR_ALL"),),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-any-host",
        "no other site can have its name point at the server and read it through a browser",
        (Edit(_GUARD, '            return found["name"] in self.names\n', "            return True\n"),),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-more-than-a-host",
        "a Host is a name and a port, and nothing else is taken for one",
        (Edit(_GUARD, "_HOST.fullmatch(host.lower())", "_HOST.match(host.lower())"),),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-any-method",
        "nothing but reading is served",
        (Edit(_GUARD, "        if request.method not in METHODS:\n", "        if False:\n"),),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-any-token",
        "whoever comes from elsewhere needs the token",
        (
            Edit(
                _GUARD,
                "        return self.token is None or hmac.compare_digest(given",
                "        return True or hmac.compare_digest(given",
            ),
        ),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-any-cookie",
        "a cookie that was not given out lets nobody in",
        (
            Edit(
                _GUARD,
                "        return self.token is None or hmac.compare_digest(cookie",
                "        return True or hmac.compare_digest(cookie",
            ),
        ),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-token-in-the-cookie",
        "who finds the cookie in a browser's files has no token",
        (
            Edit(
                _GUARD,
                '        return hmac.new((self.token or "").encode(), b"bec serve", hashlib.sha256).hexdigest()\n',
                '        return self.token or ""\n',
            ),
        ),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-leads-elsewhere",
        "an address with the token leads to no other host",
        (
            Edit(
                _GUARD,
                'return "/" + quote(request.scope["path"].lstrip("/")), asked',
                'return request.scope["path"], asked',
            ),
        ),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-without-policy",
        "every answer keeps code of others out of its page",
        (Edit(_GUARD, "                    headers.setdefault(name, value)\n", "                    pass\n"),),
        (_GUARD_TESTS,),
    ),
    Mutant(
        "web-formulas",
        "no text becomes a formula in a spreadsheet",
        (Edit("web/html/tables.py", "if text.startswith(_FORMULA) else text", "if False else text"),),
        (_TABLES_TESTS,),
    ),
    Mutant(
        "web-pictures-of-any-size",
        "no picture is sent that takes more than its bound",
        (
            Edit(
                "web/pictures/requests.py",
                "    if out[0] * out[1] > MOST_PIXELS:\n",
                "    if False:\n",
            ),
        ),
        (_REQUEST_TESTS,),
    ),
    Mutant(
        "web-cache-without-bound",
        "no more is kept than fits",
        (Edit("web/kept/caches.py", "            while self._kept > self._most:\n", "            while False:\n"),),
        ("tests/unit/web/test_caches.py",),
    ),
    Mutant(
        "web-comparison-without-bound",
        "texts of any length are compared in no time",
        (
            Edit(
                "web/viewer/difference.py",
                "    if max(len(read), len(expected)) > MOST_SYLLABLES:\n",
                "    if False:\n",
            ),
        ),
        ("tests/unit/web/test_difference.py",),
    ),
    Mutant(
        "web-decoders-without-bound",
        "no more pages are decoded at a time than there are cores for",
        (Edit("web/pictures/pictures.py", "            with self._decoding:\n", "            if True:\n"),),
        ("tests/unit/web/test_pictures.py",),
    ),
)
