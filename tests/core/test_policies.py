"""The examples are those of kubernetes.io/docs/concepts/services-networking/network-policies."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core import wire
from probe.core.labels import Labels
from probe.core.policies import (
    NOBODY,
    NetworkPolicy,
    Prober,
    Target,
    leaving_out,
    network_policy,
    own_addresses,
    selecting,
)

DB = Target(Labels({"role": "db"}), 6379, ("redis",))
OURS = Labels({"kubernetes.io/metadata.name": "edgeprobe", "team": "sre"})
PROBER = Prober("edgeprobe", OURS, Labels({"app": "edgeprobe"}), own_addresses(["172.17.5.9"]))

DENY_ALL: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress"]}
ALLOW_ALL: dict[str, Any] = {"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]}
EVERY_POD: list[dict[str, Any]] = [{"podSelector": {}, "namespaceSelector": {}}]


def policy(spec: dict[str, Any] | None, name: str = "a-policy") -> NetworkPolicy:
    obj = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
    return network_policy(msgspec.json.decode(json.dumps(obj).encode(), type=wire.NetworkPolicy))


def ingress(*rules: dict[str, Any], **pods: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": pods}, "ingress": list(rules)}


def out(*specs: dict[str, Any] | None, target: Target = DB, prober: Prober = PROBER) -> bool:
    names = leaving_out([policy(spec) for spec in specs], target, prober)
    assert names in ((), ("a-policy",) * len(names))
    return bool(names)


def test_26_without_a_policy_that_selects_them_pods_admit_everybody() -> None:
    assert leaving_out([], DB, PROBER) == ()
    assert not out(ingress(role="web"))


def test_26_the_default_deny_policy_leaves_everybody_out() -> None:
    assert out(DENY_ALL)
    assert out({**DENY_ALL, "policyTypes": ["Ingress", "Egress"]})
    assert out(DENY_ALL, prober=NOBODY)


def test_a_policy_without_types_or_without_a_spec_is_about_ingress() -> None:
    assert out({"podSelector": {}})
    assert out({"podSelector": {}, "egress": [{}]})
    assert out(None)


def test_a_policy_about_egress_leaves_nobody_out() -> None:
    assert not out({"podSelector": {}, "policyTypes": ["Egress"]})


def test_allowing_all_ingress_outdoes_every_other_policy() -> None:
    assert not out(ALLOW_ALL)
    assert not out(DENY_ALL, ALLOW_ALL)
    assert not out(ALLOW_ALL, prober=NOBODY)


EXAMPLE = {
    "podSelector": {"matchLabels": {"role": "db"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
                {"podSelector": {"matchLabels": {"role": "frontend"}}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ],
}


@pytest.mark.parametrize(
    ("namespace", "labels", "pod", "address", "admitted"),
    [
        ("other", {}, {}, "172.17.5.9", True),
        ("other", {}, {}, "172.17.1.9", False),
        ("other", {}, {}, "10.0.0.9", False),
        ("other", {}, {}, "fd00::9", False),
        ("other", {"project": "myproject"}, {}, "10.0.0.9", True),
        ("other", {}, {"role": "frontend"}, "10.0.0.9", False),
        ("default", {}, {"role": "frontend"}, "10.0.0.9", True),
        ("default", {}, {"role": "backend"}, "10.0.0.9", False),
    ],
)
def test_the_networkpolicy_resource_example(
    namespace: str, labels: dict[str, str], pod: dict[str, str], address: str, admitted: bool
) -> None:
    who = Prober(namespace, Labels(labels), Labels(pod), own_addresses([address]))

    assert out(EXAMPLE, prober=who) is not admitted
    assert out(EXAMPLE, prober=who, target=DB._replace(port=5978))


def test_one_peer_with_two_selectors_wants_both_two_peers_want_one() -> None:
    space = {"namespaceSelector": {"matchLabels": {"user": "alice"}}}
    pods = {"podSelector": {"matchLabels": {"role": "client"}}}
    who = Prober("alices", Labels({"user": "alice"}), Labels({"role": "other"}))

    assert out(ingress({"from": [{**space, **pods}]}), prober=who)
    assert not out(ingress({"from": [space, pods]}), prober=who)


def test_a_range_of_ports() -> None:
    rule = {"ports": [{"protocol": "TCP", "port": 32000, "endPort": 32768}]}

    found = [out(ingress(rule), target=DB._replace(port=p)) for p in (31999, 32000, 32768, 32769)]

    assert found == [True, False, False, True]


def test_targeting_namespaces_by_their_labels_and_a_namespace_by_its_name() -> None:
    several = {"key": "team", "operator": "In", "values": ["sre", "dev"]}
    name = {"kubernetes.io/metadata.name": "edgeprobe"}
    nobody_told = PROBER._replace(namespace_labels=Labels(name, complete=False))
    by_team = ingress({"from": [{"namespaceSelector": {"matchExpressions": [several]}}]})
    by_name = ingress({"from": [{"namespaceSelector": {"matchLabels": name}}]})

    assert not out(by_team)
    assert not out(by_name)
    assert not out(by_name, prober=nobody_told)
    assert not out(by_team, prober=nobody_told), "it may carry the label"


def test_named_ports_are_those_of_the_pods() -> None:
    rule = ingress({"ports": [{"port": "redis"}]})

    assert not out(rule)
    assert out(rule, target=DB._replace(names=("metrics",)))
    assert not out(rule, target=DB._replace(names=None)), "it may be called so"


def test_a_rule_for_another_protocol_admits_no_dial() -> None:
    assert out(ingress({"ports": [{"protocol": "UDP", "port": 6379}]}))
    assert not out(ingress({"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP"}]}))


def test_27_who_is_no_pod_or_unknown_is_left_out_only_where_everybody_is() -> None:
    for_pods = ingress({"from": EVERY_POD})
    for_ports = ingress({"from": EVERY_POD, "ports": [{"port": 80}]})

    assert not out(for_pods, prober=NOBODY)
    assert out(for_ports, prober=NOBODY)
    assert out(ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}))
    assert not out(ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}), prober=NOBODY)


def test_27_who_is_on_its_nodes_network_is_let_in_by_blocks_and_for_everybody_alone() -> None:
    host = PROBER._replace(pod=None, on_host=True)
    ours = {"podSelector": {"matchLabels": {"app": "edgeprobe"}}, "namespaceSelector": {}}
    block = {"ipBlock": {"cidr": "172.17.5.0/24"}}

    assert out(ingress({"from": EVERY_POD}), prober=host)
    assert out(ingress({"from": [ours]}), prober=host)
    assert not out(ingress({"from": [ours, block]}), prober=host)
    assert not out(ingress({}), prober=host)


@pytest.mark.parametrize(
    "block", [{"cidr": "1.2.3"}, {}, {"cidr": "::/0", "except": ["010.0.0/8"]}]
)
def test_a_block_that_cannot_be_read_may_let_us_in(block: dict[str, Any]) -> None:
    assert not out(ingress({"from": [{"ipBlock": block}]}))


def test_pods_of_which_only_some_labels_are_known_are_selected_if_certain() -> None:
    some = DB._replace(labels=Labels({"role": "db"}, complete=False))
    more = ingress({}, tier="cache")

    assert out(ingress(role="db"), target=some)
    assert not out(more, target=some)
    assert not out(ingress(role="db"), more, target=some), "the other may select and admit"


def test_only_the_policies_that_select_are_named_in_order() -> None:
    found = [policy(DENY_ALL, "b"), policy(ingress(role="db"), "a"), policy(ingress(x="y"), "c")]
    only_egress = policy({"podSelector": {}, "policyTypes": ["Egress"]}, "d")

    assert leaving_out(found, DB, PROBER) == ("a", "b")
    assert selecting([*found, only_egress], DB.labels) == ("a", "b")
    assert selecting(found, Labels({}, complete=False)) == ("b",)


def test_own_addresses_are_numeric_ones_each_once() -> None:
    assert own_addresses(["10.0.0.1", "fd00::1", "10.0.0.1", "a.name"]) == (
        ip_address("10.0.0.1"),
        ip_address("fd00::1"),
    )


# Against a naive model that knows everything.

texts = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)
selectors = st.one_of(
    st.builds(lambda found: {"matchLabels": found}, texts),
    st.builds(
        lambda key, operator, values: {
            "matchExpressions": [{"key": key, "operator": operator, "values": values}]
        },
        st.sampled_from("ab"),
        st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
        st.lists(st.sampled_from("12"), min_size=1, max_size=2),
    ),
)
blocks = st.fixed_dictionaries(
    {"cidr": st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"])},
    optional={"except": st.lists(st.sampled_from(["10.1.0.0/16", "10.2.0.0/16"]), max_size=2)},
)
peers = st.one_of(
    st.builds(lambda block: {"ipBlock": block}, blocks),
    st.builds(lambda pods: {"podSelector": pods}, selectors),
    st.builds(lambda spaces: {"namespaceSelector": spaces}, selectors),
    st.builds(
        lambda pods, spaces: {"podSelector": pods, "namespaceSelector": spaces},
        selectors,
        selectors,
    ),
)
ports = st.one_of(
    st.just({"port": 80}),
    st.just({"port": 80, "protocol": "UDP"}),
    st.just({"port": 70, "endPort": 90}),
    st.just({"port": "http"}),
    st.just({"protocol": "TCP"}),
)
rules = st.fixed_dictionaries(
    {}, optional={"from": st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}
)
specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "ingress": st.lists(rules, max_size=2),
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    },
)
named = st.lists(specs, max_size=3).map(lambda found: {f"p{i}": s for i, s in enumerate(found)})


def naive_match(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for e in selector.get("matchExpressions", []):
        has, value = e["key"] in labels, labels.get(e["key"])
        fits = {
            "In": value in e["values"],
            "NotIn": value not in e["values"],
            "Exists": has,
            "DoesNotExist": not has,
        }
        if not fits[e["operator"]]:
            return False
    return True


def naive_peer(peer: dict[str, Any], who: dict[str, Any]) -> bool:
    if "ipBlock" in peer:
        inside = [peer["ipBlock"]["cidr"]]
        outside = peer["ipBlock"].get("except", [])
        return all(who["address"] in ip_network(n) for n in inside) and not any(
            who["address"] in ip_network(n) for n in outside
        )
    if "namespaceSelector" in peer:
        here = naive_match(peer["namespaceSelector"], who["namespace_labels"])
    else:
        here = who["namespace"] == "default"
    return here and naive_match(peer.get("podSelector", {}), who["pod"])


def naive_port(port: dict[str, Any], number: int, name: str) -> bool:
    if port.get("protocol", "TCP") != "TCP":
        return False
    if "port" not in port:
        return True
    if isinstance(port["port"], str):
        return bool(port["port"] == name)
    return bool(port["port"] <= number <= port.get("endPort", port["port"]))


def naive(found: dict[str, Any], who: dict[str, Any], pod: dict[str, str], number: int) -> set[str]:
    chosen = {
        name: spec
        for name, spec in found.items()
        if "Ingress" in spec.get("policyTypes", ["Ingress"])
        and naive_match(spec["podSelector"], pod)
    }
    for spec in chosen.values():
        for rule in spec.get("ingress", []):
            let_in = not rule.get("from") or any(naive_peer(p, who) for p in rule["from"])
            port_fits = not rule.get("ports") or any(
                naive_port(p, number, "http") for p in rule["ports"]
            )
            if let_in and port_fits:
                return set()
    return set(chosen)


whos = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(["default", "other"]),
        "namespace_labels": texts,
        "pod": texts,
        "address": st.sampled_from(["10.0.0.1", "10.1.0.1", "10.2.0.1", "192.0.2.1"]).map(
            ip_address
        ),
    }
)


@given(named, whos, texts, st.sampled_from([80, 81, 90]))
def test_whoever_knows_everything_says_what_the_naive_model_says(
    found: dict[str, Any], who: dict[str, Any], pod: dict[str, str], number: int
) -> None:
    prober = Prober(
        who["namespace"], Labels(who["namespace_labels"]), Labels(who["pod"]), (who["address"],)
    )
    told = leaving_out(
        [policy(spec, name) for name, spec in found.items()],
        Target(Labels(pod), number, ("http",)),
        prober,
    )

    assert set(told) == naive(found, who, pod, number)


@given(named, whos, texts, st.sampled_from([80, 81, 90]), st.sets(st.integers(0, 5)))
def test_whoever_knows_less_names_no_policy_that_might_let_him_in(
    found: dict[str, Any],
    who: dict[str, Any],
    pod: dict[str, str],
    number: int,
    hidden: set[int],
) -> None:
    def some(labels: dict[str, str], secret: int) -> Labels:
        kept = {} if secret in hidden else labels
        return Labels(kept, complete=secret not in hidden)

    prober = Prober(
        who["namespace"],
        some(who["namespace_labels"], 0),
        None if 5 in hidden else some(who["pod"], 1),
        () if 2 in hidden else (who["address"],),
    )
    target = Target(some(pod, 3), number, None if 4 in hidden else ("http",))
    told = leaving_out([policy(spec, name) for name, spec in found.items()], target, prober)

    assert set(told) <= naive(found, who, pod, number)
