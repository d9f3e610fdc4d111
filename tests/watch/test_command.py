"""The command that triggers a rollout: its words, its exit code, its end."""

import sys
from pathlib import Path

import pytest

from probe.watch import command as module
from probe.watch.command import CannotRun, Command
from tests.running import until


async def ended(*argv: str) -> tuple[int | None, list[str]]:
    said: list[str] = []
    command = Command(argv, said.append)
    assert command.code is None
    await command.start()
    await until(lambda: command.code is not None)
    await command.end()
    return command.code, said


async def test_its_words_come_line_by_line_from_both_of_its_streams() -> None:
    line = "echo one; echo zwei-ü >&2; printf last; exit 3"

    assert await ended("sh", "-c", line) == (3, ["one", "zwei-ü", "last"])


async def test_a_signal_is_told_as_a_shell_does() -> None:
    assert await ended("sh", "-c", "kill -TERM $$") == (143, [])


async def test_a_line_without_an_end_is_told_in_pieces() -> None:
    code, said = await ended(sys.executable, "-c", f"print('x' * {3 * module.CHUNK}, end='')")

    assert (code, "".join(said)) == (0, "x" * (3 * module.CHUNK))
    assert len(said) > 1


async def test_what_cannot_be_run_is_said() -> None:
    command = Command(("/nonexistent/kubectl",), print)
    with pytest.raises(CannotRun, match="/nonexistent/kubectl cannot be run: No such file"):
        await command.start()
    await command.end()


async def test_it_is_ended_with_the_watch_even_if_a_child_of_it_holds_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    line = "trap '' TERM; sleep 5 & echo begun; while :; do wait; done"
    command = Command(("sh", "-c", line), said.append)
    await command.start()
    await until(lambda: said)
    monkeypatch.setattr(module, "END_SECONDS", 0.2)
    await command.end()

    assert command.code == 137


async def test_its_children_end_with_it() -> None:
    said: list[str] = []
    command = Command(("sh", "-c", "sleep 1000 & echo $!; wait; echo never"), said.append)
    await command.start()
    await until(lambda: said)
    child = int(said[0])
    running = alive(child)
    await command.end()

    assert running
    await until(lambda: not alive(child))
    assert (command.code, len(said)) == (143, 1)


def alive(pid: int) -> bool:
    """Whether it runs: one that ended may wait for a parent that never asks."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
