from nigrani.service.plural import plural


def test_one_is_one_and_none_are_many() -> None:
    assert [plural(number, "fault") for number in (0, 1, 2, 1234)] == ["0 faults", "1 fault", "2 faults", "1,234 faults"]
    assert [plural(number, "match", "matches") for number in (0, 1, 2)] == ["0 matches", "1 match", "2 matches"]
