from __future__ import annotations

from nigrani.stream.kafka.partitions import Partitions


def test_a_partition_comes_is_held_and_goes() -> None:
    books = Partitions()
    books.come([3, 1])
    assert (books.came(), books.held()) == ([3, 1], {})
    assert not books.advance(3, 9)
    assert books.hold(3, 5)
    assert (books.came(), books.held()) == ([1], {3: 5})
    assert books.advance(3, 9)
    assert books.held() == {3: 9}
    assert books.go([3, 1]) == [3]
    assert (books.came(), books.held()) == ([], {})
    assert not books.advance(3, 10)


def test_what_came_twice_came_once() -> None:
    books = Partitions()
    books.come([1])
    books.come([1, 2])
    assert books.came() == [1, 2]


def test_what_is_gone_before_it_was_held_is_not_held() -> None:
    books = Partitions()
    books.come([1])
    assert books.go([1]) == []
    assert not books.hold(1, 5)


def test_all_go() -> None:
    books = Partitions()
    books.come([2, 1, 3])
    books.hold(1, 0)
    books.hold(2, 0)
    assert books.go() == [1, 2]
    assert (books.came(), books.held()) == ([], {})


def test_what_is_done_is_taken_once_and_only_of_what_is_held() -> None:
    books = Partitions()
    books.come([1, 2])
    books.done(1, 4)
    books.hold(1, 0)
    books.hold(2, 0)
    books.done(1, 5)
    books.done(1, 6)
    books.done(2, 7)
    books.go([2])
    assert books.take_done() == {1: 6}
    assert books.take_done() == {}
