from bec_orch.core.by_name import ByName


def test_a_name_is_found_in_either_form() -> None:
    values = ByName({"Cafe\u0301.jpg": 1, "\u00f6.jpg": 2})
    assert (values.get("Caf\u00e9.jpg"), values.get("Cafe\u0301.jpg"), values.get("o\u0308.jpg")) == (1, 1, 2)
    assert values.name_of("Caf\u00e9.jpg") == "Cafe\u0301.jpg"
    assert values.get("cafe.jpg") is None


def test_names_that_differ_in_their_form_alone_stay_two() -> None:
    values = ByName({"\u1e69": 1, "s\u0323\u0307": 2})
    assert (values.get("\u1e69"), values.get("s\u0323\u0307")) == (1, 2)
    assert values.get("s\u0307\u0323") is None
