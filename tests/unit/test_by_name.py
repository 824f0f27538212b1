import json

from bec_orch.core.by_name import ByName, json_told_apart, spelled_out, told_apart


def test_a_name_is_found_in_either_form() -> None:
    values = ByName({"Cafe\u0301.jpg": 1, "\u00f6.jpg": 2})
    assert (values.get("Caf\u00e9.jpg"), values.get("Cafe\u0301.jpg"), values.get("o\u0308.jpg")) == (1, 1, 2)
    assert values.name_of("Caf\u00e9.jpg") == "Cafe\u0301.jpg"
    assert values.get("cafe.jpg") is None


def test_names_that_differ_in_their_form_alone_stay_two() -> None:
    values = ByName({"\u1e69": 1, "s\u0323\u0307": 2})
    assert (values.get("\u1e69"), values.get("s\u0323\u0307")) == (1, 2)
    assert values.get("s\u0307\u0323") is None


def test_names_that_look_alike_are_told_apart_by_their_spelling() -> None:
    composed, apart, once = "Caf\u00e9", "Cafe\u0301", "o\u0308"
    assert told_apart([composed, apart, once, "x"]) == {apart: f"{apart} (Cafe\\u0301)"}
    marks = ["s\u0323\u0307", "s\u0307\u0323"]
    assert [told_apart(marks)[name] for name in marks] == [
        "s\u0323\u0307 (s\\u0323\\u0307)",
        "s\u0307\u0323 (s\\u0307\\u0323)",
    ]
    assert told_apart([apart, "\u1112\u1161\u11ab", "\u0f69"]) == {}
    assert (spelled_out(composed), spelled_out(apart)) == ("", "Cafe\\u0301")


def test_json_says_the_same_to_programs_and_shows_which_is_which() -> None:
    value = [
        {"w": "Caf\u00e9"},
        {"w": "Cafe\u0301"},
        {"w": "o\u0308"},
        {"w": 'a "\\ \u1112\u1161\u11ab'},
        {"w": "\ud55c"},
    ]
    text = json_told_apart(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert '"Caf\u00e9"}, {"w": "Cafe\\u0301"}, {"w": "o\u0308"}' in text
    assert json_told_apart('["Caf\u00e9"]') == '["Caf\u00e9"]'
