from collections.abc import Callable
from itertools import count

from probe.timeslice import SLICE_CHARACTERS, SLICE_SECONDS, sliced


def standing_still() -> float:
    return 0.0


def one_step_a_look(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much whenever somebody looks at it."""
    looks = count()
    return lambda: next(looks) * seconds


def test_pieces_come_together_while_there_is_time() -> None:
    assert list(sliced(["a", "b", "", "c"], standing_still)) == [b"abc"]
    assert list(sliced([], standing_still)) == [b""]


def test_after_a_while_others_get_their_turn() -> None:
    clock = one_step_a_look(SLICE_SECONDS / 2)
    assert list(sliced("abcde", clock)) == [b"ab", b"cd", b"e"]


def test_work_without_words_lets_others_run_too() -> None:
    assert list(sliced([""] * 4, one_step_a_look(SLICE_SECONDS / 2))) == [b"", b"", b""]


def test_a_slice_is_not_much_longer_than_what_may_be_held() -> None:
    line = "é" * 1000
    slices = list(sliced([line] * 1000, standing_still))

    assert b"".join(slices).decode() == line * 1000
    assert max(len(part.decode()) for part in slices) < SLICE_CHARACTERS + len(line)
