"""Plays scenarios one after the other and compares what was injected with what was found."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from probe.core.changes import ChangeKind
from probe.core.verdicts import FAILING, Verdict
from probe.demo.daemon import PACE, Watched
from probe.demo.manifests import NAMESPACE as OURS
from probe.demo.manifests import OTHER, deployment, namespace, service
from probe.demo.scenarios import Options, Scenario
from probe.sandbox.cluster import Cluster

POLL = 0.25
"""Seconds between two looks at the daemon's API: well inside its rate limit of 10/s."""

FIND_SECONDS = 15.0
"""Until an injected fault counts as missed: 15 of the demo's intervals."""

HEAL_SECONDS = 15.0

REPORT_SECONDS = 10.0
"""Until a rollout's report is missed, after the daemon no longer lays failures to it."""

BYSTANDERS = ("frontend", "checkout", "payments")
"""Healthy Services that stand all the time: whatever is said of them is a false alarm."""


@dataclass(slots=True)
class Score:
    """One scenario's outcome. `seconds` is how long the first finding took, `refused` counts the
    refused dials during a rollout by the phase that they were filed under, `reported` is whether
    its report came."""

    name: str
    injected: list[str]
    found: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    healed: bool = False
    seconds: float | None = None
    summaries: dict[str, str] = field(default_factory=dict)
    advice: dict[str, list[str]] = field(default_factory=dict)
    rollouts: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    reported: bool = True

    def concerns(self, item: str) -> bool:
        """Whether that is told of what a fault was injected into."""
        return any(item.rpartition(" ")[0] == each.rpartition(" ")[0] for each in self.injected)

    @property
    def missed(self) -> list[str]:
        return [item for item in self.injected if item not in self.found]

    @property
    def passed(self) -> bool:
        return not self.missed and not self.false and self.healed and self.reported

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "injected": self.injected,
            "found": self.found,
            "missed": self.missed,
            "false": self.false,
            "healed": self.healed,
            "seconds_to_find": None if self.seconds is None else round(self.seconds, 1),
            "summaries": self.summaries,
            "advice": [line for lines in self.advice.values() for line in lines],
            "rollouts": self.rollouts,
            "refused": self.refused,
        }


@dataclass(slots=True)
class Scene:
    """What a view shows: filled by the player, read by whoever draws."""

    title: str = ""
    story: str = ""
    act: str = "starting the cluster"
    done: float = 0.0
    services: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)


Tell = Callable[[str, str], None]


class Player:
    """Plays on one cluster with one daemon. `tell` gets (kind, line) for whoever reads along."""

    def __init__(
        self, cluster: Cluster, daemon: Watched, options: Options, scene: Scene, tell: Tell
    ) -> None:
        self._cluster = cluster
        self._daemon = daemon
        self._options = options
        self._scene = scene
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._verdicts: dict[str, str] = {}
        self._seen_changes: set[str] = set()
        self._rollouts: list[dict[str, Any]] = []
        self._invalid: Mapping[tuple[str, str], float] = {}

    async def play(self, scenarios: list[Scenario]) -> list[Score]:
        await self._set_up(scenarios)
        scores = []
        for i, scenario in enumerate(scenarios):
            self._scene.done = i / len(scenarios)
            scores.append(await self._play(scenario, i, len(scenarios)))
        self._scene.done = 1.0
        return scores

    async def _set_up(self, scenarios: list[Scenario]) -> None:
        self._scene.act = "setting up healthy Services"
        self._tell("act", "setting up healthy Services")
        self._cluster.apply(namespace(OURS))
        self._cluster.apply(namespace(OTHER))
        for name in BYSTANDERS:
            self._cluster.apply(deployment(name, namespace=OTHER), manager="kubectl")
            self._cluster.apply(service(name, namespace=OTHER), manager="kubectl")
        for scenario in scenarios:
            await scenario.set_up(self._cluster, self._options)
        await self._cluster.settled(within=30)

        async def stands() -> bool:
            await self._look(None)
            return self._all_healthy

        if not await self._until(stands, HEAL_SECONDS):
            self._tell("false", f"not healthy before anything was injected: {self._failing()}")
        await asyncio.sleep(float(PACE["settle"]))  # what is new is not judged yet

    async def _play(self, scenario: Scenario, index: int, count: int) -> Score:
        score = Score(scenario.name, list(scenario.expects(self._options)))
        self._scene.title, self._scene.story = scenario.name, scenario.story
        self._scene.act = "injected, waiting for the daemon to find it"
        self._tell("scenario", f"{scenario.name}: {scenario.story}")
        before = await self._daemon.refused(OURS) if scenario.rolls else {}
        started = self._loop.time()
        await scenario.inject(self._cluster, self._options)

        async def found() -> bool:
            self._scene.done = (index + 0.5) / count
            await self._look(score)
            if not score.missed and score.seconds is None and score.injected:
                score.seconds = self._loop.time() - started
            return not score.missed and (scenario.rolls is None or self._rolled(scenario))

        await self._until(found, FIND_SECONDS + (30 if scenario.rolls else 0))
        for item in score.missed:
            self._tell("missed", item)
        self._scene.act = "mended, waiting for the daemon to say healthy"
        await scenario.heal(self._cluster, self._options)

        async def healed() -> bool:
            await self._look(score, healing=True)
            return self._all_healthy

        lingers = self._options.linger if scenario.rolls else 0
        score.healed = await self._until(healed, HEAL_SECONDS + lingers)
        if not score.healed:
            self._tell("missed", f"{scenario.name} was mended, the daemon still says otherwise")
        if scenario.rolls is not None:
            await self._report(scenario.rolls, score, before)
        return score

    async def _report(self, workload: str, score: Score, before: Mapping[str, int]) -> None:
        """Waits for the rollout's report, and looks whether a failure was filed as a steady one;
        `before` are the refused dials by phase until then."""
        self._scene.act = "waiting for the rollout's report"

        async def reported() -> bool:
            score.rollouts = await self._daemon.reports(workload)
            return bool(score.rollouts)

        score.reported = await self._until(reported, REPORT_SECONDS + self._options.linger)
        if not score.reported:
            self._tell("missed", f"the report of the rollout of {workload}")
        score.refused = dict(Counter(await self._daemon.refused(OURS)) - Counter(before))
        if steady := score.refused.get("steady"):
            score.false.append(f"{steady} dials refused by the rollout are filed as steady")
            self._tell("false", score.false[-1])

    async def _until(self, done: Callable[[], Any], seconds: float) -> bool:
        """Whether `done` came true within so many seconds; looks on at the pace of POLL."""
        deadline = self._loop.time() + seconds
        while not await done():
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL)
        return True

    async def _look(self, score: Score | None, *, healing: bool = False) -> None:
        """Reads the daemon once and files what it says. A port whose pods are mended one by one
        still fails until all are, by whatever verdict."""
        self._scene.services = await self._daemon.services()
        document = await self._daemon.changes()
        self._scene.changes, self._rollouts = document["changes"], document["rollouts"]
        self._tell_news()
        self._invalid = await self._daemon.invalid_targets()
        if score is None:
            return
        items = {f"{_name(s, p)} {p['verdict']}": (s, p) for s, p in _failing_ports(self._scene)}
        for (where, source), count in self._invalid.items():
            if count and source not in ("endpointslice", "service"):
                item = f"Namespace {where} invalid_target in {source}"
                items[item] = {}, {"summary": self._told_to(where)}
        for item, (held, port) in items.items():
            if item in score.injected:
                if item not in score.found:
                    score.found.append(item)
                    self._tell("found", item)
                score.advice[item] = held.get("advice", [])
                score.summaries[item] = port["summary"]
            elif item not in score.false and not (healing and score.concerns(item)):
                score.false.append(item)
                self._tell("false", item)

    def _told_to(self, where: str) -> str:
        """Which workload of that namespace was told which address."""
        told = (c for c in self._scene.changes if c["kind"] == ChangeKind.INVALID_TARGET)
        said = (f"{c['object']}: {c['detail']}" for c in told if f" {where}/" in c["object"])
        return next(said, "a workload was told this address")

    def _tell_news(self) -> None:
        for held in self._scene.services:
            for port in held["ports"]:
                name = _name(held, port)
                if self._verdicts.get(name) not in (None, port["verdict"]):
                    self._tell("verdict", f"{name} {port['verdict']}: {port['summary']}")
                self._verdicts[name] = port["verdict"]
        for change in reversed(self._scene.changes):
            key = f"{change['time']} {change['object']} {change['detail']}"
            if key not in self._seen_changes:
                self._seen_changes.add(key)
                by = f" by {change['by']}" if change["by"] else ""
                self._tell("change", f"{change['object']}{by}: {change['detail']}")

    @property
    def _all_healthy(self) -> bool:
        """By the last look."""
        ports = [p for s in self._scene.services for p in s["ports"]]
        return (
            bool(ports)
            and all(p["verdict"] == "healthy" for p in ports)
            and not any(self._invalid.values())
        )

    def _failing(self) -> str:
        return ", ".join(f"{_name(s, p)} {p['verdict']}" for s, p in _failing_ports(self._scene))

    def _rolled(self, scenario: Scenario) -> bool:
        return any(r["outcome"] == "complete" for r in self._rollouts_of(scenario))

    def _rollouts_of(self, scenario: Scenario) -> list[dict[str, Any]]:
        return [r for r in self._rollouts if r["workload"] == scenario.rolls]


def _name(held: dict[str, Any], port: dict[str, Any]) -> str:
    where = held["service"]
    return f"Service {where['namespace']}/{where['name']}:{port['port']}"


def _failing_ports(scene: Scene) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [
        (held, port)
        for held in scene.services
        for port in held["ports"]
        if Verdict(port["verdict"]) in FAILING
    ]
