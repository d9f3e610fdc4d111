"""NetworkPolicies (networking.k8s.io/v1): which of them leave our dials out.

Policies add up: pods that none selects for ingress admit everybody; pods that some select admit
what one of these admits. Who enforces them, and whether anybody does, is the cluster's: nothing
here says that a dial must fail, only which policies say so if it does.

What cannot be told from here (labels of pods that we do not watch, what a port is called, our own
address) counts as perhaps admitted: a policy is named only if it leaves us out for certain.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from sys import intern
from typing import NamedTuple

from probe.core import wire
from probe.core.edges import Author
from probe.core.labels import Labels, Selector, all_of, any_of, matches, selector
from probe.core.meta import author, managed
from probe.core.targets import Address, Network, numeric


@dataclass(frozen=True, slots=True)
class Block:
    """ipBlock: the addresses of `network` that are in none of `excepted`. None for one that
    cannot be read: the API server admits odd spellings of old."""

    network: Network | None
    excepted: tuple[Network | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is let in: a block of addresses, or pods by their own and their namespace's labels.

    Without `namespaces`, pods of the policy's own namespace; without `pods`, all of them there.
    """

    pods: Selector | None = None
    namespaces: Selector | None = None
    block: Block | None = None


class Ports(NamedTuple):
    """TCP ports from `first` to `last`, or the one that a container calls `name`."""

    first: int = 1
    last: int = 65535
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One ingress rule. Without `peers` it lets everybody in, without `ports` to every port."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Ports, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A policy's ingress to the pods that it selects; None where it is about egress alone.

    `generation` grows with each change of its spec, of what is not kept too (its egress).
    """

    namespace: str
    name: str
    pods: Selector
    ingress: tuple[Rule, ...] | None
    generation: int = 0
    managed: str = ""
    author: Author | None = field(default=None, compare=False)


class Prober(NamedTuple):
    """Who dials. `pod` is None for what is no pod, or for one of which nobody knows: then
    only a rule for everybody, or for our addresses, can be told to let us in.

    `on_host` is who is on its node's network. To most who enforce policies it is the node: no
    selector of pods or namespaces matches it, a block of addresses may, and the pods of its own
    node always admit it (NetworkPolicy's documentation, on hostNetwork pods and on ipBlock).
    """

    namespace: str
    namespace_labels: Labels
    pod: Labels | None
    addresses: tuple[Address, ...] = ()
    on_host: bool = False


NOBODY = Prober("", Labels({}, complete=False), None)
"""A prober of whom nothing is known."""


class Target(NamedTuple):
    """What is dialed: a port of the pods that carry these labels. `names` are what their
    containers call it; None if nobody knows."""

    labels: Labels
    port: int
    names: Collection[str] | None = None


def network_policy(obj: wire.NetworkPolicy) -> NetworkPolicy:
    """What is kept of a NetworkPolicy: its ingress over TCP.

    A missing spec selects all pods and lets nobody in, as the API defaults it.
    """
    meta, spec = obj.metadata, obj.spec or wire.NetworkPolicySpec()
    # Without policyTypes a policy is about ingress, whatever else it is about.
    about_ingress = not spec.policyTypes or "Ingress" in spec.policyTypes
    rules = (_rule(rule) for rule in spec.ingress or ())
    return NetworkPolicy(
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        pods=selector(spec.podSelector),
        ingress=tuple(rule for rule in rules if rule is not None) if about_ingress else None,
        generation=meta.generation,
        managed=managed(meta),
        author=author(meta),
    )


def _rule(obj: wire.IngressRule) -> Rule | None:
    """None for a rule that is of no use to TCP."""
    told = obj.get("ports") or ()
    ports = tuple(_ports(port) for port in told if port.protocol in (None, "TCP"))
    if told and not ports:
        return None
    return Rule(tuple(_peer(peer) for peer in obj.get("from") or ()), ports)


def _peer(obj: wire.PolicyPeer) -> Peer:
    def chosen(told: wire.LabelSelector | None) -> Selector | None:
        return None if told is None else selector(told)

    block = obj.ipBlock
    return Peer(
        pods=chosen(obj.podSelector),
        namespaces=chosen(obj.namespaceSelector),
        block=None
        if block is None
        else Block(
            _network(block.get("cidr", "")), tuple(map(_network, block.get("except") or ()))
        ),
    )


def _ports(obj: wire.PolicyPort) -> Ports:
    if obj.port is None:
        return Ports()
    if isinstance(obj.port, str):
        return Ports(name=intern(obj.port))
    return Ports(obj.port, obj.endPort or obj.port)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def selecting(policies: Iterable[NetworkPolicy], labels: Labels) -> tuple[str, ...]:
    """The names of those that select the pods with these labels for ingress, sorted: what may
    leave somebody out of whom we do not know whether it does."""
    return tuple(sorted(policy.name for policy in policies if _selects(policy, labels)))


def leaving_out(
    policies: Iterable[NetworkPolicy], target: Target, prober: Prober
) -> tuple[str, ...]:
    """The names of those that select the target's pods, sorted, if none lets the prober in.

    `policies` are those of the target's namespace. () if one of them lets it in, or may, and if
    none selects the pods for certain.
    """
    chosen = [p for p in policies if _selects(p, target.labels) is not False]
    names = selecting(chosen, target.labels)
    if not names or any(_admits(policy, target, prober) is not False for policy in chosen):
        return ()
    return names


def _selects(policy: NetworkPolicy, labels: Labels) -> bool | None:
    return False if policy.ingress is None else matches(policy.pods, labels)


def _admits(policy: NetworkPolicy, target: Target, prober: Prober) -> bool | None:
    return any_of(
        all_of(
            (
                any_of(_covers(ports, target) for ports in rule.ports or (Ports(),)),
                any_of(_is(peer, policy, prober) for peer in rule.peers) if rule.peers else True,
            )
        )
        for rule in policy.ingress or ()
    )


def _covers(ports: Ports, target: Target) -> bool | None:
    if not ports.name:
        return ports.first <= target.port <= ports.last
    return None if target.names is None else ports.name in target.names


def _is(peer: Peer, policy: NetworkPolicy, prober: Prober) -> bool | None:
    """Whether the prober is the peer."""
    if peer.block is not None:
        return _within(peer.block, prober.addresses)
    if prober.on_host:
        return False
    if prober.pod is None:
        return None
    return all_of(
        (
            prober.namespace == policy.namespace
            if peer.namespaces is None
            else matches(peer.namespaces, prober.namespace_labels),
            matches(peer.pods or (), prober.pod),
        )
    )


def _within(block: Block, addresses: tuple[Address, ...]) -> bool | None:
    """Whether one of our addresses is in the block; which one dials is not asked for."""
    if block.network is None or None in block.excepted or not addresses:
        return None
    return any(
        address in block.network and not any(address in e for e in block.excepted if e is not None)
        for address in addresses
    )


def own_addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """The prober's addresses, as a Prober has them."""
    found = {numeric(text) for text in texts}
    return tuple(sorted((a for a in found if a is not None), key=str))
