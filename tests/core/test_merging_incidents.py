"""What several nodes remember of incidents, merged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.merging import merged_incidents
from tests.core.documents import VERDICTS, change

Json = dict[str, Any]


def incident(
    node: str,
    opened: str = "12:00:00",
    closed: str | None = None,
    *,
    name: str = "shop/cart",
    kind: str = "service",
    verdict: str = "endpoint_down",
    ports: tuple[int, ...] = (80,),
    **more: object,
) -> Json:
    """What one node remembers of an incident; times are of one day."""
    return {
        "id": f"{node}-{opened}",
        "state": "open" if closed is None else "closed",
        "cause": {"kind": kind, "name": name},
        "verdict": verdict,
        "worst_verdict": verdict,
        "summary": f"{verdict} from {node}",
        "services": [{"namespace": "shop", "name": "cart", "ports": list(ports)}],
        "service_count": 1,
        "opened": f"2026-11-20T{opened}Z",
        "closed": closed and f"2026-11-20T{closed}Z",
        "seconds": 60.0,
        "flaps": 0,
        "change": None,
        "seconds_before": None,
        "watched_seconds": None,
        "last_write": None,
        "advice": [],
        "node": node,
        **more,
    }


INCIDENTS = st.lists(
    st.builds(
        incident,
        st.sampled_from("abc"),
        st.integers(0, 20).map(lambda second: f"12:00:{second:02}"),
        st.none() | st.integers(20, 59).map(lambda second: f"12:00:{second:02}"),
        name=st.sampled_from(["shop/cart", "shop/till"]),
        kind=st.sampled_from(["service", "node"]),
        verdict=VERDICTS,
    ),
    max_size=6,
    unique_by=lambda known: known["id"],
)


@given(INCIDENTS, st.data())
def test_the_order_of_incidents_changes_nothing_and_none_is_lost(
    incidents: list[Json], data: st.DataObject
) -> None:
    found = merged_incidents(incidents)

    assert merged_incidents(data.draw(st.permutations(incidents))) == found
    told = {(i["cause"]["kind"], i["cause"]["name"], node) for i in found for node in i["nodes"]}
    assert told == {(i["cause"]["kind"], i["cause"]["name"], i["node"]) for i in incidents}
    assert [i["closed"] is not None for i in found] == sorted(
        i["closed"] is not None for i in found
    )


def test_an_incident_that_several_nodes_see_is_one() -> None:
    edit = change()
    (found,) = merged_incidents(
        [
            incident("b", "12:00:02", "12:01:00", flaps=2, advice=["x"], change=edit),
            incident("a", "12:00:01", "12:01:09", seconds=68.0, advice=["y"]),
            incident("c", "12:00:00", "12:00:50", verdict="blackholed", service_count=3),
        ]
    )

    assert (found["verdict"], found["worst_verdict"]) == ("blackholed", "blackholed")
    assert (found["opened"], found["closed"]) == ("2026-11-20T12:00:00Z", "2026-11-20T12:01:09Z")
    assert (found["seconds"], found["flaps"], found["service_count"]) == (68.0, 2, 3)
    assert (found["change"], found["advice"]) == (edit, ["y", "x"])
    assert (found["nodes"], found["summary"]) == (["a", "b", "c"], "blackholed from c")


def test_the_change_is_that_of_the_node_on_which_it_began() -> None:
    later: Json = {"change": change(detail="later"), "seconds_before": 1.0}
    (found,) = merged_incidents(
        [
            incident("a", "12:00:00"),
            incident("b", "12:00:01", change=change(), seconds_before=4.0),
            incident("c", "12:00:02", verdict="port_mismatch", **later),
        ]
    )

    assert found["verdict"] == "port_mismatch"
    assert (found["change"], found["seconds_before"]) == (change(), 4.0)


def test_a_change_that_an_older_daemon_found_has_no_distance() -> None:
    older = incident("a", "12:00:00", change=change())
    del older["seconds_before"]
    newer = incident("b", "12:00:01", change=change(), seconds_before=4.0)
    (found,) = merged_incidents([older, newer])

    assert (found["change"], found["seconds_before"]) == (change(), None)


def test_an_incident_is_open_as_long_as_a_node_sees_it() -> None:
    closed = incident("a", "12:00:00", "12:01:00", verdict="not_listening")

    (found,) = merged_incidents([closed, incident("b", "12:00:01", verdict="endpoint_down")])

    assert (found["state"], found["closed"], found["verdict"]) == ("open", None, "endpoint_down")
    assert found["worst_verdict"] == "not_listening"


def test_incidents_of_other_causes_and_of_other_times_are_others() -> None:
    found = merged_incidents(
        [
            incident("a", "12:00:00", "12:01:00"),
            incident("b", "12:01:11", "12:02:00"),
            incident("a", "12:05:00"),
            incident("a", "12:04:00", name="node1", kind="node"),
            incident("b", "12:04:00", name="node1", kind="proxy"),
            incident("b", "12:06:00", ports=(443,)),
        ]
    )

    assert [(i["opened"].partition("T")[2], i["state"]) for i in found] == [
        ("12:06:00Z", "open"),
        ("12:05:00Z", "open"),
        ("12:04:00Z", "open"),
        ("12:04:00Z", "open"),
        ("12:01:11Z", "closed"),
        ("12:00:00Z", "closed"),
    ]


def test_a_shared_cause_is_one_incident_whichever_services_a_node_names() -> None:
    found = merged_incidents(
        incident(node, name="node1", kind="node", ports=(number,), verdict="node_path")
        for node, number in (("a", 80), ("b", 443))
    )

    assert [i["nodes"] for i in found] == [["a", "b"]]


@pytest.mark.parametrize(
    ("one", "other", "told"), [(3.0, 700.0, 700.0), (3.0, None, None), (None, None, None)]
)
def test_it_was_watched_for_as_long_as_any_node_did(
    one: float | None, other: float | None, told: float | None
) -> None:
    (found,) = merged_incidents(
        [incident("a", watched_seconds=one), incident("b", watched_seconds=other)]
    )

    assert found["watched_seconds"] == told
