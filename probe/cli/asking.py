"""How `probe check` comes by its answer: dialed from here, or asked of the daemons on the nodes;
with the pods behind it and, if wished, what the daemons remember."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from probe.check import Selection, check_services, keys
from probe.core import report
from probe.core.gate import verdict_of_all
from probe.core.verdicts import Verdict
from probe.pods import look
from probe.reach import reach_pods
from probe.reflector import ApiTrouble, Connection
from probe.settings import Settings
from probe.vantages import NoDaemons, from_nodes, incidents_from_nodes

Json = dict[str, Any]
Tell = Callable[[str], None]

HERE, NODES = "here", "nodes"


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks. `vantage` is HERE, NODES, a node's name, or None for what can be
    reached; `since` are the seconds of history wished for."""

    selection: Selection
    vantage: str | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A document for each Service; `silent` are nodes that did not answer, with the reason of
    each; `history` is what the daemons remember; `warnings` say what was done without."""

    documents: list[Json]
    warnings: list[str] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)
    history: Json | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst that counts (core/gate.py)."""
        return verdict_of_all(self.documents, silent=bool(self.silent))

    @property
    def document(self) -> Json:
        """The one document of `-o json`, of the only Service there is."""
        (found,) = self.documents
        return {**found, **self._beside()}

    @property
    def all_documents(self) -> Json:
        """The one document of `-o json`, of any number of Services."""
        return {"services": self.documents, "verdict": str(self.verdict), **self._beside()}

    def _beside(self) -> Json:
        """What is only there where it was asked for."""
        silent = {"silent": self.silent} if self.silent else {}
        return silent | ({"history": self.history} if self.history is not None else {})


async def ask(connection: Connection, settings: Settings, question: Question, tell: Tell) -> Answer:
    """Raises NotFound, BadSelector, NoDaemons and ApiTrouble."""
    selection, vantage = question.selection, question.vantage
    if vantage is None:
        tell(f"asking {connection.server} whether pods can be reached from here")
        vantage = HERE if await reach_pods(connection, settings) else NODES
    if vantage == HERE:
        answer = await _from_here(connection, settings, selection, tell)
    else:
        tell(f"asking the daemons by way of {connection.server}")
        node = None if vantage == NODES else vantage
        asked = await from_nodes(connection, settings, selection, node)
        warnings = [_unasked(*each) for each in asked.silent.items()]
        answer = Answer(asked.documents, warnings, asked.silent)
        for document in asked.documents if selection.name is not None else ():
            if document["verdict"] == Verdict.HEALTHY:
                document["verdict"] = str(answer.verdict)  # of which silent nodes leave a doubt
    tell(f"asking {connection.server} for the pods")
    answer.warnings.extend(await look(connection, answer.documents))
    if question.since is None:
        return answer
    tell("asking the daemons what they remember")
    return await _with_history(connection, settings, question, answer)


async def _from_here(
    connection: Connection, settings: Settings, selection: Selection, tell: Tell
) -> Answer:
    world, warnings = await check_services(connection, settings, selection, tell)
    now = asyncio.get_running_loop().time()
    epoch = datetime.now(UTC) - timedelta(seconds=now)

    def clock(at: float) -> datetime:
        return epoch + timedelta(seconds=at)

    documents = [report.service(world, key, now, clock, settings.vantage) for key in keys(world)]
    return Answer(documents, warnings)


async def _with_history(
    connection: Connection, settings: Settings, question: Question, answer: Answer
) -> Answer:
    """The answer with what the daemons remember; without, if they cannot be asked."""
    assert question.since is not None
    try:
        history = await incidents_from_nodes(
            connection, settings, question.selection, question.since
        )
    except (NoDaemons, ApiTrouble) as failed:
        answer.warnings.append(f"no history: {failed}")
        return answer
    unheard = [_unasked(*each) for each in history["silent"].items()]
    warnings = list(dict.fromkeys([*answer.warnings, *unheard]))
    return Answer(answer.documents, warnings, answer.silent, history)


def _unasked(node: str, why: str) -> str:
    return f"node {node} does not answer: {why}"
