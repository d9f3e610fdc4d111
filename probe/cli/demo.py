"""`probe demo`: the incidents on the embedded cluster, for eyes and for scripts."""

import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from probe.cli.check import Output
from probe.cli.demo_view import Lines, Live, View, summary
from probe.cli.failing import USAGE, fail, printing
from probe.demo.daemon import DaemonFailed, Watched
from probe.demo.manifests import NAMESPACE, OTHER, namespace
from probe.demo.play import Player, Scene, Score
from probe.demo.scenarios import TOUR, Options, Scenario, chosen
from probe.demo.scenarios import hold as hold_scenarios
from probe.sandbox.cluster import Cluster

HELP = (
    "Plays incidents on a cluster inside this process and shows what the daemon finds. "
    f"Scenarios: {TOUR} (all, the default), port-mismatch, no-endpoints, blackhole, "
    "invalid-address, rolling-update. Exit code 1 if anything was missed."
)


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
    try:
        played = chosen([hold] if hold is not None else scenarios or [])
    except ValueError as wrong:
        fail(str(wrong), USAGE)
    if hold is None:
        if write_kubeconfig is not None:
            fail("--write-kubeconfig is for --hold: name the scenario to hold", USAGE)
        with printing():
            sys.exit(asyncio.run(_play(played, options, output)))
    if scenarios:
        fail("--hold takes the place of the scenarios: name one or the other", USAGE)
    if write_kubeconfig is None:
        fail("--hold wants --write-kubeconfig FILE: without it nobody could reach it", USAGE)
    if not write_kubeconfig.parent.is_dir():
        fail(f"--write-kubeconfig {write_kubeconfig}: its directory does not exist", USAGE)
    try:
        asyncio.run(_hold(hold, played, options, write_kubeconfig))
    finally:
        write_kubeconfig.unlink(missing_ok=True)  # it leads nowhere any more


async def _play(scenarios: list[Scenario], options: Options, output: Output) -> int:
    """Plays and shows; returns the exit code."""
    scene = Scene()
    view: View
    if output is Output.TABLE and sys.stdout.isatty():
        view = Live(scene)
    else:
        view = Lines(sys.stderr if output is Output.JSON else sys.stdout)
    stop = _stop_event()
    with view, tempfile.TemporaryDirectory(prefix="probe-demo-") as folder:
        playing = asyncio.create_task(_scores(scenarios, options, scene, view, Path(folder)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return 130
        try:
            scores = playing.result()
        except DaemonFailed as failed:
            fail(str(failed), 1)
    if output is Output.JSON:
        print(json.dumps({"scenarios": [score.document() for score in scores]}, indent=2))
    else:
        summary(scores)
    return 0 if all(score.passed for score in scores) else 1


async def _scores(
    scenarios: list[Scenario], options: Options, scene: Scene, view: View, folder: Path
) -> list[Score]:
    kubeconfig = folder / "kubeconfig"
    async with Cluster() as cluster:
        cluster.write_kubeconfig(kubeconfig)
        # A rollout's failures go on for as long as the proxies lag.
        async with Watched(kubeconfig, linger=options.proxy_lag + 2) as daemon:
            return await Player(cluster, daemon, options, scene, view.tell).play(scenarios)


async def _hold(name: str, scenarios: list[Scenario], options: Options, path: Path) -> None:
    stop = _stop_event()
    async with Cluster() as cluster:
        for each in (NAMESPACE, OTHER):
            cluster.apply(namespace(each))
        standing = asyncio.create_task(hold_scenarios(cluster, scenarios, options))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({standing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            standing.result()
            cluster.write_kubeconfig(path)
            print(f"holding {name}: export KUBECONFIG={path}, end with Ctrl-C", file=sys.stderr)
            await stopping
        standing.cancel()
        stopping.cancel()
        await asyncio.gather(standing, stopping, return_exceptions=True)


def _stop_event() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
