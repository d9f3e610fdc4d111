"""What changed of NetworkPolicies: whom they select, and whom they let in."""

from collections.abc import Iterator

from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.labels import Selector
from probe.core.meta import newly
from probe.core.policies import NetworkPolicy, Rule


def policy_changes(
    old: NetworkPolicy | None, new: NetworkPolicy | None, services: tuple[str, ...], at: float
) -> Iterator[Change]:
    """NetworkPolicies that were created, changed or deleted; `services` are those of the pods that
    the old one or the new one selects."""
    policy = new or old
    assert policy is not None
    author = newly(old.author if old else None, new.author) if new is not None else None
    detail = _policy_detail(old, new)
    if detail:
        yield Change(
            at,
            ChangeKind.POLICY,
            policy.namespace,
            f"NetworkPolicy {policy.namespace}/{policy.name}",
            detail,
            by=author.manager if author else None,
            time=author.time if author else None,
            services=services,
            managed=policy.managed,
            aspects=(Aspect.ADMITTED,) * (_admitted(old) != _admitted(new)),
        )


def _admitted(policy: NetworkPolicy | None) -> tuple[Selector, tuple[Rule, ...]] | None:
    """Whom it lets in, to which pods; None if it is about egress alone."""
    if policy is None or policy.ingress is None:
        return None
    return policy.pods, policy.ingress


def _policy_detail(old: NetworkPolicy | None, new: NetworkPolicy | None) -> str:
    if new is None:
        return "deleted"
    if old is None:
        return f"created for {_pods_text(new.pods)}: {_ingress_text(new.ingress)}"
    details = []
    if old.pods != new.pods:
        details.append(f"podSelector: {_pods_text(old.pods)} -> {_pods_text(new.pods)}")
    if old.ingress != new.ingress:
        was, now = _ingress_text(old.ingress), _ingress_text(new.ingress)
        details.append(f"{was} -> {now}" if was != now else "ingress rules changed")
    if not details and old.generation != new.generation:
        details.append("changed beside its ingress")
    return "; ".join(details)


def _pods_text(pods: Selector) -> str:
    if not pods:
        return "all pods"
    return "pods " + ",".join(
        f"{key}={values[0]}"
        if operator == "In" and len(values) == 1
        else f"{key} {operator} {'|'.join(values)}".rstrip()
        for key, operator, values in pods
    )


def _ingress_text(ingress: tuple[Rule, ...] | None) -> str:
    if ingress is None:
        return "egress only"
    if not ingress:
        return "ingress from nobody"
    if any(not rule.peers and not rule.ports for rule in ingress):
        return "ingress from everybody"
    return f"ingress by {len(ingress)} rule{'s' if len(ingress) > 1 else ''}"
