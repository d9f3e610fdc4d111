"""`probe demo`: the incidents on the embedded cluster, for eyes and for scripts."""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from probe.cli.demo_view import Lines, Live, View, summary
from probe.cli.failing import USAGE, fail, printing
from probe.cli.output import Output
from probe.cli.stopping import stop_event
from probe.demo.daemon import DaemonFailed, Watched
from probe.demo.manifests import NAMESPACE, OTHER, namespace
from probe.demo.play import Player, Scene, Score
from probe.demo.scenarios import Options, Scenario, UnknownScenario, chosen
from probe.demo.scenarios import hold as hold_scenarios
from probe.sandbox.cluster import EXTENSION, Cluster

FAILED = 1
"""Exit code when something was missed, falsely alarmed about, or could not be played."""


def command(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO", help="What to play. Default: tour."),
    ] = None,
    proxy_lag: Annotated[
        float,
        typer.Option(
            min=0,
            max=30,
            metavar="SECONDS",
            help="Seconds by which ClusterIPs follow late in a rollout.",
        ),
    ] = 2.0,
    drain: Annotated[
        float,
        typer.Option(
            min=0, max=29, metavar="SECONDS", help="preStop sleep (seconds) of the rolled-out pods."
        ),
    ] = 0.0,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="table, or json for one document at the end.")
    ] = Output.TABLE,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="SCENARIO", help="Leave the cluster standing in this scenario's state."
        ),
    ] = None,
    write_kubeconfig: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --hold: the file that appears once the state stands."
        ),
    ] = None,
) -> None:
    options = Options(proxy_lag, drain)
    if conflict := _conflict(options, scenarios, hold, write_kubeconfig):
        fail(conflict, USAGE)
    try:
        played = chosen([hold] if hold is not None else scenarios or [])
        if write_kubeconfig is not None:
            _make_way(write_kubeconfig)
            try:
                asyncio.run(_hold(played, options, write_kubeconfig.absolute()))
            finally:
                write_kubeconfig.unlink(missing_ok=True)  # it leads nowhere any more
            return
    except _Unwritable as wrong:
        fail(f"--write-kubeconfig {write_kubeconfig}: {wrong}", USAGE)
    except UnknownScenario as wrong:
        fail(str(wrong), USAGE)
    with printing():
        sys.exit(asyncio.run(_play(played, options, output)))


def _conflict(
    options: Options, scenarios: list[str] | None, hold: str | None, kubeconfig: Path | None
) -> str | None:
    """Why these options make no sense together; None if they do."""
    if options.undecided:
        return (
            f"--proxy-lag {options.proxy_lag:g} and --drain {options.drain:g} are too close: a "
            "second or more must lie between them, or nobody can say whether a dial should fail"
        )
    if hold is not None and scenarios:
        return "--hold takes the place of the scenarios: name one or the other"
    if hold is not None and kubeconfig is None:
        return "--hold wants --write-kubeconfig FILE: without it nobody could reach it"
    if hold is None and kubeconfig is not None:
        return "--write-kubeconfig is for --hold: name the scenario to hold"
    return None


class _Unwritable(ValueError):
    """The kubeconfig cannot stand where it was asked for; the text says why."""


def _make_way(path: Path) -> None:
    """Removes what an earlier sandbox left, so that whoever waits for the file waits for ours.

    Raises _Unwritable for anybody else's file: it would be overwritten now and removed at the end.
    """
    if not path.parent.is_dir():
        raise _Unwritable("its directory does not exist")
    if not os.access(path.parent, os.W_OK):
        raise _Unwritable("its directory cannot be written to")
    if path.is_dir():
        raise _Unwritable("it is a directory")
    try:
        if path.exists() and (held := path.read_text()) and EXTENSION not in held:
            raise _Unwritable("it exists and is no sandbox's: name another file")
        path.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError):
        raise _Unwritable("it exists and cannot be replaced: name another file") from None


async def _play(scenarios: list[Scenario], options: Options, output: Output) -> int:
    """Plays and shows; returns the exit code."""
    scene = Scene()
    view: View
    if output is Output.TABLE and sys.stdout.isatty():
        view = Live(scene)
    else:
        view = Lines(sys.stderr if output is Output.JSON else sys.stdout)
    stop = stop_event()
    with view, tempfile.TemporaryDirectory(prefix="probe-demo-") as folder:
        playing = asyncio.create_task(_scores(scenarios, options, scene, view, Path(folder)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return 130
        with _told():
            scores = playing.result()
    if output is Output.JSON:
        print(json.dumps({"scenarios": [score.document() for score in scores]}, indent=2))
    else:
        summary(scores)
    return 0 if all(score.passed for score in scores) else FAILED


@contextmanager
def _told() -> Iterator[None]:
    """Says in a sentence why the demo itself could not go on."""
    try:
        yield
    except DaemonFailed as failed:
        fail(str(failed), FAILED)
    except BrokenPipeError:  # nobody reads along any more
        raise
    except OSError as failed:  # no address or descriptor left; a timeout is one, without words
        reason = failed.strerror or str(failed) or "it did not come to rest in time"
        fail(f"the embedded cluster failed: {reason}", FAILED)


async def _scores(
    scenarios: list[Scenario], options: Options, scene: Scene, view: View, folder: Path
) -> list[Score]:
    kubeconfig = folder / "kubeconfig"
    async with Cluster() as cluster:
        cluster.write_kubeconfig(kubeconfig)
        async with Watched(kubeconfig, linger=options.linger) as daemon:
            return await Player(cluster, daemon, options, scene, view.tell).play(scenarios)


async def _hold(scenarios: list[Scenario], options: Options, path: Path) -> None:
    stop = stop_event()
    async with Cluster() as cluster:
        for each in (NAMESPACE, OTHER):
            cluster.apply(namespace(each))
        standing = asyncio.create_task(hold_scenarios(cluster, scenarios, options))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({standing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            with _told():
                standing.result()
            try:
                cluster.write_kubeconfig(path)
            except OSError as failed:
                raise _Unwritable(failed.strerror or str(failed)) from None
            shown = shlex.quote(str(path))
            names = " ".join(scenario.name for scenario in scenarios)
            print(f"holding {names}: export KUBECONFIG={shown}, end with Ctrl-C", file=sys.stderr)
            await stopping
        standing.cancel()
        stopping.cancel()
        await asyncio.gather(standing, stopping, return_exceptions=True)
