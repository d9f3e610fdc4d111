from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from probe.core import kube, report
from probe.core.edges import Scope
from probe.core.rounds import Config
from probe.core.targets import Network
from tests.core.facts import (
    NODE,
    Story,
    endpoint,
    port,
    service,
    slice_of,
    standing,
    workload,
)

KEY = ("demo-app", "backend-v1")
MYSQL = service(port(3306, 3306, name="mysql"))


def told(story: Story) -> dict[str, Any]:
    return report.service(story.world, KEY, story.now, lambda at: datetime.now(UTC), "pod")


def behind(*endpoints: Any, **more: Any) -> Any:
    return slice_of(*endpoints, number=3306, port_name="mysql", **more)


def test_a_port_that_blocks_hosts_is_not_healthy_without_a_dial() -> None:
    story = standing(behind("10.0.0.1", "10.0.0.2"), of=MYSQL).run(30)
    found = told(story)
    (shown,) = found["ports"]

    assert story.dials == []
    assert (found["verdict"], found["on_purpose"]) == ("unknown", True)
    assert found["summary"] == "2 endpoints, not dialed: MySQL (PROBE_DIAL_MYSQL=true dials it)"
    assert (found["dialed"], found["expected"], found["skipped"]) == (0, 0, ["blocks_hosts"])
    assert (shown["name"], shown["port"], shown["edges"]) == ("mysql", 3306, [])


def test_that_nobody_is_behind_it_its_slices_tell() -> None:
    story = standing(behind(endpoint("10.0.0.1", ready=False)), of=MYSQL).run(30)
    found = told(story)

    assert (found["verdict"], found["on_purpose"]) == ("no_endpoints", False)
    assert found["summary"] == "no usable endpoint: no pod that the selector matches is ready"
    assert found["advice"][0].startswith("compare the selector with the pods")


def test_nobody_behind_it_on_purpose_is_on_purpose() -> None:
    story = Story().listed([MYSQL], [behind()], [workload(replicas=0)]).run(30)

    assert (told(story)["verdict"], told(story)["on_purpose"]) == ("no_endpoints", True)


def test_a_new_one_is_given_time() -> None:
    story = Story().listed()
    story.store(MYSQL)
    first = told(story)
    story.run(40)

    assert (first["verdict"], first["on_purpose"]) == ("unknown", False)
    assert told(story)["verdict"] == "no_endpoints"


def test_beside_a_port_that_is_dialed_it_does_not_count() -> None:
    of = service(port(3306, 3306, name="mysql"), port(9104, 9104, name="metrics"))
    both = slice_of("10.0.0.1", number=9104, port_name="metrics")
    both = replace(both, ports=(*both.ports, *behind().ports))
    found = told(standing(both, of=of).run(30))

    assert (found["verdict"], found["on_purpose"]) == ("healthy", False)
    assert [(p["port"], p["verdict"]) for p in found["ports"]] == [
        (3306, "unknown"),
        (9104, "healthy"),
    ]


def test_where_it_is_dialed_nothing_is_left_to_tell() -> None:
    story = Story(Config(NODE, scope=Scope(dial_blocking_ports=True)))
    story.listed([MYSQL], [behind("10.0.0.1")]).run(30)

    assert (told(story)["verdict"], told(story)["skipped"]) == ("healthy", [])


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (service(port(53, protocol="UDP")), "udp"),
        (service(kind="ExternalName", ips=()), "external_name"),
        (service(opted_out=True), "opted_out"),
    ],
)
def test_a_service_that_nobody_may_dial_is_not_healthy_but_does_not_count(
    of: Any, reason: str
) -> None:
    story = standing(of=of).run(30)
    found = told(story)

    assert (found["verdict"], found["on_purpose"]) == ("unknown", True)
    assert (found["summary"], found["skipped"]) == (f"nothing of it is dialed: {reason}", [reason])


def test_endpoints_without_a_pod_do_not_count_until_they_are_admitted() -> None:
    by_hand = slice_of(endpoint("192.0.2.7", pod="", node=""))
    story = standing(by_hand, of=service(selector=())).run(30)
    found = told(story)
    assert (found["verdict"], found["on_purpose"]) == ("unknown", True)

    admitted = Scope(manual_targets=(_network("192.0.2.0/24"),))
    story = Story(Config(NODE, scope=admitted)).listed([service(selector=())], [by_hand]).run(30)
    assert (told(story)["verdict"], told(story)["on_purpose"]) == ("healthy", False)


def test_all_services_leave_out_what_is_on_purpose() -> None:
    empty = service(name="db", ips=(), selector=(("app", "db"),))
    story = Story().listed([service(), empty, MYSQL], [behind("10.0.0.9")])
    story.listed(
        [service(), empty],
        [slice_of("10.0.0.1")],
        [workload(name="db", replicas=0, labels=(("app", "db"),))],
    ).run(40)

    def verdict() -> str:
        found = report.services(story.world, story.now, lambda at: datetime.now(UTC), "pod")
        return str(found["verdict"])

    assert verdict() == "healthy"
    story.world.apply(kube.Listed("deployments", ()), story.now)
    story.run(40)
    assert verdict() == "no_endpoints"


def _network(text: str) -> Network:
    from ipaddress import ip_network

    return ip_network(text)
