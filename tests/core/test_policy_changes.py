"""What changed of NetworkPolicies."""

from dataclasses import replace

import pytest

from probe.core.changes import Aspect, ChangeKind
from probe.core.edges import Author
from probe.core.labels import Requirement
from probe.core.policies import NetworkPolicy, Peer, Ports, Rule
from probe.core.policy_changes import policy_changes

ADA = Author("kubectl-client-side-apply", "2026-11-21T10:00:00Z")
WEB = (Requirement("app", "In", ("web",)),)
DENY = NetworkPolicy("demo-app", "guard", WEB, (), generation=1, managed="Flux", author=ADA)
SAME = Peer(pods=WEB)


def detail(old: NetworkPolicy | None, new: NetworkPolicy | None) -> str:
    return "; ".join(c.detail for c in policy_changes(old, new, (), 5.0))


@pytest.mark.parametrize(
    ("ingress", "text"),
    [
        (None, "egress only"),
        ((), "ingress from nobody"),
        ((Rule(),), "ingress from everybody"),
        ((Rule(ports=(Ports(80, 80),)),), "ingress by 1 rule"),
        ((Rule(peers=(SAME,)), Rule(ports=(Ports(80, 80),))), "ingress by 2 rules"),
    ],
)
def test_a_created_policy_says_whom_it_lets_in(ingress: tuple[Rule, ...] | None, text: str) -> None:
    assert detail(None, replace(DENY, ingress=ingress)) == f"created for pods app=web: {text}"


@pytest.mark.parametrize(
    ("pods", "text"),
    [
        ((), "all pods"),
        ((*WEB, Requirement("tier", "In", ("a", "b"))), "pods app=web,tier In a|b"),
        ((Requirement("app", "Exists"),), "pods app Exists"),
    ],
)
def test_a_policy_s_pods_are_named_by_its_selector(
    pods: tuple[Requirement, ...], text: str
) -> None:
    assert detail(DENY, replace(DENY, pods=pods)) == f"podSelector: pods app=web -> {text}"


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (replace(DENY, ingress=(Rule(),)), "ingress from nobody -> ingress from everybody"),
        (replace(DENY, generation=2), "changed beside its ingress"),
        (replace(DENY, managed=""), ""),
        (None, "deleted"),
    ],
)
def test_a_changed_policy_says_from_what_to_what(new: NetworkPolicy | None, text: str) -> None:
    assert detail(DENY, new) == text


def test_rules_that_read_alike_are_said_to_have_changed() -> None:
    old, new = (
        replace(DENY, ingress=(Rule(ports=(Ports(n, n),)),), generation=n) for n in (80, 81)
    )

    assert detail(old, new) == "ingress rules changed"


def test_a_policy_s_change_names_its_author_its_keeper_and_the_services() -> None:
    (made,) = policy_changes(None, DENY, ("web",), 5.0)
    (gone,) = policy_changes(DENY, None, ("web",), 5.0)

    assert (made.kind, made.object) == (ChangeKind.POLICY, "NetworkPolicy demo-app/guard")
    assert (made.namespace, made.services, made.managed) == ("demo-app", ("web",), "Flux")
    assert (made.by, made.time) == (ADA.manager, ADA.time)
    assert (gone.by, gone.services) == (None, ("web",))


def test_only_who_may_dial_the_pods_is_what_dials_may_fail_by() -> None:
    egress = replace(DENY, ingress=None)

    def touched(old: NetworkPolicy | None, new: NetworkPolicy | None) -> list[tuple[Aspect, ...]]:
        return [c.aspects for c in policy_changes(old, new, (), 5.0)]

    assert touched(None, DENY) == [(Aspect.ADMITTED,)]
    assert touched(DENY, None) == [(Aspect.ADMITTED,)]
    assert touched(DENY, replace(DENY, ingress=(Rule(),))) == [(Aspect.ADMITTED,)]
    assert touched(DENY, replace(DENY, pods=())) == [(Aspect.ADMITTED,)]
    assert touched(None, egress) == [()]
    assert touched(egress, replace(egress, generation=2)) == [()]
