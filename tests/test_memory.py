"""What the daemon does to keep little memory, on whatever C library there is."""

import gc
import platform

from probe import memory


def test_what_was_learned_is_left_out_of_collections() -> None:
    memory.begin()
    memory.learned()
    try:
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_the_calls_are_really_glibc_s() -> None:
    if platform.libc_ver()[0] == "glibc":
        assert memory._glibc("malloc_trim")(0) in (0, 1)
        assert memory._glibc("mallopt")(memory.M_TRIM_THRESHOLD, memory.TRIM_THRESHOLD) == 1
    assert memory._glibc("no_such_call")(1, 2) == 0
