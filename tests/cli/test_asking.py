"""What an answer of the daemons counts for, where one of them does not answer."""

from pathlib import Path

import pytest

from probe.check import Selection
from probe.cli.asking import NODES, Answer, Question, ask
from probe.core.verdicts import Verdict
from tests.front import CART, answering, document, front, says


async def asked(folder: Path, selection: Selection, verdict: str, *, silent: bool) -> Answer:
    told = document("a", verdict)
    held = told if selection.name else {"services": [told]}
    async with (
        front(folder) as ahead,
        answering(says(held)) as fine,
        answering(says({}, status=500)) as broken,
    ):
        ahead.pod("a", fine)
        if silent:
            ahead.pod("b", broken)
        question = Question(selection, NODES)
        return await ask(ahead.connection, ahead.settings, question, lambda said: None)


@pytest.mark.parametrize(
    ("verdict", "silent", "named", "every"),
    [
        ("healthy", False, "healthy", "healthy"),
        ("healthy", True, "unknown", "unknown"),
        ("lossy", True, "lossy", "lossy"),
    ],
)
async def test_a_silent_node_leaves_a_doubt_about_what_is_healthy(
    tmp_path: Path, verdict: str, silent: bool, named: str, every: str
) -> None:
    one = await asked(tmp_path, CART, verdict, silent=silent)
    many = await asked(tmp_path, Selection(""), verdict, silent=silent)

    assert (one.document["verdict"], one.verdict) == (named, Verdict(named))
    assert (many.all_documents["verdict"], many.verdict) == (every, Verdict(every))
    assert many.documents[0]["verdict"] == verdict, "what the others saw of it stands"
    assert ("silent" in one.document) == silent


async def test_what_is_wanted_so_stays_what_it_is_and_is_not_healthy(tmp_path: Path) -> None:
    told = {**document("a", "no_endpoints"), "on_purpose": True}
    async with front(tmp_path) as ahead, answering(says(told)) as fine:
        ahead.pod("a", fine)
        found = await ask(ahead.connection, ahead.settings, Question(CART, NODES), lambda _: None)

    assert (found.document["verdict"], found.verdict) == ("no_endpoints", Verdict.UNKNOWN)
