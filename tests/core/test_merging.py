import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.merging import NODES_NAMED, merged, verdict_of
from probe.core.report import CHANGES_SHOWN, worst
from probe.core.verdicts import FAILING, Verdict
from tests.core.documents import EDIT, NOON, UNSEEN, VERDICTS, Json, change, edge, told


def details(found: Json) -> list[tuple[str, str]]:
    return [(c["time"].partition("T")[2], c["detail"]) for c in found["changes"]]


TIMES = st.integers(0, 59).map(lambda second: f"2026-11-20T12:00:{second:02}Z")
CHANGES = st.lists(st.builds(change, TIMES, st.sampled_from([EDIT, UNSEEN, "other"])), max_size=4)
DOCUMENTS = st.lists(
    st.builds(
        told,
        st.sampled_from("abcdefgh"),
        VERDICTS,
        st.sampled_from(["", "1 of 2", "2 of 2"]),
        port=st.sampled_from([80, 443]),
        changes=CHANGES,
        advice=st.lists(st.sampled_from(["do this", "do that"]), max_size=2, unique=True),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda document: document["sources"][0]["node"],
)


@given(DOCUMENTS, st.data())
def test_the_order_of_documents_changes_nothing(documents: list[Json], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(documents))

    assert merged(shuffled) == merged(documents)


@given(DOCUMENTS)
def test_nothing_that_a_node_says_is_lost(documents: list[Json]) -> None:
    found = merged(documents)

    edges = [e for p in found["ports"] for e in p["edges"]]
    assert len(edges) == sum(len(p["edges"]) for d in documents for p in d["ports"])
    assert {s["node"] for s in found["sources"]} == {e["from"] for e in edges}
    assert set(found["advice"]) == {line for d in documents for line in d["advice"]}
    assert (found["dialed"], found["expected"]) == (3 * len(documents), 3 * len(documents))
    words = {c["detail"] for d in documents for c in d["changes"]}
    assert {c["detail"] for c in found["changes"]} in (words, words - {UNSEEN})
    assert all(
        d["verdict"] in found["summary"] or len(documents) == 1
        for d in documents
        if d["verdict"] != found["verdict"]
    )


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=6))
def test_the_verdict_is_one_that_a_node_gave_and_no_failure_becomes_less(
    verdicts: list[Verdict],
) -> None:
    found = verdict_of(verdicts)

    assert found in verdicts
    assert (found in FAILING) == bool(FAILING & set(verdicts))
    if found not in FAILING:
        assert found is worst(verdicts)


def test_one_document_stays_as_it_is() -> None:
    document = told("a", changes=[change(), change()], advice=["x", "x"])

    assert merged([document]) == document


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="nothing to merge"):
        merged([])


def test_nodes_that_agree_speak_together() -> None:
    found = merged(told(node, "port_mismatch", "set it to 8080") for node in "cab")

    assert found["verdict"] == "port_mismatch"
    assert found["summary"] == "set it to 8080; seen from all 3 nodes"
    assert found["ports"][0]["summary"] == found["summary"]
    assert found["sources"] == [{"node": node, "vantage": "pod"} for node in "abc"]


def test_what_one_node_sees_names_it_and_counts_the_others() -> None:
    found = merged([told("a", "proxy_stale", "behind"), *(told(node) for node in "bcde")])

    assert found["verdict"] == "proxy_stale"
    assert found["summary"] == "behind; seen from 1 of 5 nodes: a (healthy from 4)"


def test_many_nodes_are_not_all_named() -> None:
    failing = [told(f"node{n}", "blackholed", "no answer") for n in range(NODES_NAMED + 2)]

    assert merged([*failing, told("x"), told("y", "unknown")])["summary"] == (
        "no answer; seen from 7 of 9 nodes: node0, node1, node2, node3, node4 and 2 more "
        "(unknown from 1, healthy from 1)"
    )


def test_the_sentence_is_the_one_that_most_nodes_say() -> None:
    said = {"a": "1 of 2 endpoints", "b": "2 of 2 endpoints", "c": "2 of 2 endpoints"}
    found = merged(told(node, "not_listening", words) for node, words in said.items())

    assert found["summary"] == "2 of 2 endpoints; seen from all 3 nodes"


@pytest.mark.parametrize(
    ("verdicts", "found"),
    [
        (["probe_fault", "healthy"], "probe_fault"),
        (["probe_fault", "probe_fault", "port_mismatch"], "port_mismatch"),
        (["node_path", "port_mismatch", "port_mismatch"], "port_mismatch"),
        (["node_path", "node_path", "endpoint_down"], "node_path"),
        (["node_path"], "node_path"),
        (["proxy_stale", "lossy"], "lossy"),
        (["proxy_stale", "proxy_stale", "lossy"], "proxy_stale"),
        (["node_path", "proxy_stale", "healthy"], "node_path"),
        (["unknown", "healthy"], "unknown"),
        (["unknown", "endpoint_down"], "endpoint_down"),
    ],
)
def test_what_is_wrong_with_one_node_hides_no_failure_of_the_service(
    verdicts: list[str], found: str
) -> None:
    assert verdict_of([Verdict(verdict) for verdict in verdicts]) == found


def test_edges_stand_by_kind_and_address_and_then_by_node() -> None:
    def edges(node: str) -> list[Json]:
        return [
            edge(node, "10.96.0.1", "service"),
            edge(node, "10.0.0.1"),
            edge(node, "fd00::1", family="ipv6"),
            edge(node, "10.0.0.1", "candidate"),
        ]

    found = merged(told(node, edges=edges(node)) for node in "ba")["ports"][0]["edges"]

    assert [(e["address"], e["from"]) for e in found] == [
        *(("10.96.0.1", "a"), ("10.96.0.1", "b")),
        *(("10.0.0.1", "a"), ("10.0.0.1", "b")),
        *(("fd00::1", "a"), ("fd00::1", "b")),
        *(("10.0.0.1", "a"), ("10.0.0.1", "b")),
    ]


def test_a_port_that_one_node_does_not_know_yet_is_told_by_the_others() -> None:
    behind, ahead = told("a"), told("b")
    ahead["ports"].append({**ahead["ports"][0], "port": 443, "verdict": "unknown"})

    first, second = merged([behind, ahead])["ports"]

    assert (first["port"], first["verdict"]) == (80, "healthy")
    assert (second["port"], second["verdict"], second["summary"]) == (
        443,
        "unknown",
        "it is healthy",
    )


def test_what_this_version_does_not_know_comes_from_who_speaks() -> None:
    documents = [told("a", extra="mine"), told("b", "blackholed", extra="theirs")]

    assert merged(documents)["extra"] == "theirs"


def test_the_advice_of_who_speaks_comes_first_and_nothing_twice() -> None:
    documents = [
        told("a", "proxy_stale", advice=["look at kube-proxy", "look at the pods"]),
        told("b", "blackholed", advice=["look at the pods"]),
    ]

    assert merged(documents)["advice"] == ["look at the pods", "look at kube-proxy"]


def test_a_warning_of_several_nodes_is_told_once() -> None:
    mine, other = ({"object": f"Deployment shop/{name}", "detail": "0:80"} for name in "ab")
    older = told("c")
    del older["warnings"]

    found = merged([older, told("a", warnings=[mine]), told("b", warnings=[mine, other])])

    assert found["warnings"] == [mine, other]


def test_a_change_that_several_nodes_saw_is_told_once_at_its_earliest() -> None:
    later, again = "2026-11-20T12:00:10Z", "2026-11-20T12:05:00Z"
    documents = [
        told("a", changes=[change(later)]),
        told("b", changes=[change(again), change(NOON), change(NOON, "ports 80", "service_added")]),
    ]

    assert details(merged(documents)) == [
        ("12:05:00Z", EDIT),
        ("12:00:00Z", "ports 80"),
        ("12:00:00Z", EDIT),
    ]


def test_who_saw_the_edit_is_believed_before_who_came_later() -> None:
    other = change("2026-11-19T12:00:00Z", UNSEEN)
    documents = [told("a", changes=[change(NOON, UNSEEN), other]), told("b", changes=[change()])]

    assert details(merged(documents)) == [("12:00:00Z", EDIT), ("12:00:00Z", UNSEEN)]
    assert [c["time"] for c in merged(documents)["changes"]] == [NOON, other["time"]]


def test_no_more_changes_are_told_than_by_one_node() -> None:
    documents = [
        told(node, changes=[change(NOON, f"{node} {n}") for n in range(15)]) for node in "ab"
    ]

    assert len(merged(documents)["changes"]) == CHANGES_SHOWN


def test_what_explains_a_service_comes_from_who_speaks_or_who_knows() -> None:
    known: Json = {"change": change(), "seconds_before": 4.0}
    documents = [
        told("a", "endpoint_down", change=change(detail="other"), seconds_before=9.0),
        told("b", "port_mismatch", **known),
    ]
    assert merged(documents).items() >= known.items()
    assert merged([told("a"), told("b", **known)]).items() >= known.items()


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ("ab", "; seen from 2 of 3 nodes: a, b (no answer from n3)"),
        ("a", "; seen from 1 of 2 nodes: a (no answer from n3)"),
    ],
)
def test_nodes_that_did_not_answer_are_counted(nodes: str, said: str) -> None:
    found = merged([told(node) for node in nodes], ["n3"])

    assert found["summary"] == f"it is healthy{said}"
    assert found["ports"][0]["summary"] == found["summary"]


@pytest.mark.parametrize(
    ("told_by", "on_purpose", "starting"),
    [
        ([(True, False), (True, False)], True, False),
        ([(True, False), (False, True)], False, True),
        ([(False, True), (False, True)], False, True),
        ([(True, False), (False, False)], False, False),
    ],
)
def test_it_is_on_purpose_if_nobody_who_sees_it_says_otherwise(
    told_by: list[tuple[bool, bool]], on_purpose: bool, starting: bool
) -> None:
    documents = [
        told(node, "no_endpoints", on_purpose=wanted, starting=starts)
        for node, (wanted, starts) in zip("ab", told_by, strict=True)
    ]
    found = merged([*documents, told("c")])

    assert (found["on_purpose"], found["starting"]) == (on_purpose, starting)
