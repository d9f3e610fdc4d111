"""What marks say of who keeps an object; authors are in test_kube.py."""

import pytest

from probe.core import wire
from probe.core.edges import Author
from probe.core.meta import managed, newly, scaler
from probe.core.wire_managers import Manager

ADA, ARGO = Author("ada", "2026-11-21T10:00:01Z"), Author("argocd", "2026-11-21T10:00:00Z")


@pytest.mark.parametrize(
    ("labels", "annotations", "tool"),
    [
        (None, {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}, "Argo CD"),
        ({"argocd.argoproj.io/instance": "shop"}, None, "Argo CD"),
        ({"kustomize.toolkit.fluxcd.io/name": "apps"}, None, "Flux"),
        ({"helm.toolkit.fluxcd.io/name": "web"}, {"meta.helm.sh/release-name": "web"}, "Flux"),
        (
            {"app.kubernetes.io/managed-by": "Helm"},
            {"meta.helm.sh/release-name": "web"},
            "Helm",
        ),
        ({"app.kubernetes.io/managed-by": "Helm"}, None, ""),
        (None, {"argocd.argoproj.io/sync-wave": "1"}, ""),
        (None, None, ""),
    ],
)
def test_an_object_is_kept_by_the_tool_whose_own_mark_it_carries(
    labels: dict[str, str] | None, annotations: dict[str, str] | None, tool: str
) -> None:
    assert managed(wire.Meta(labels=labels, annotations=annotations)) == tool


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, ADA, ADA),
        (ARGO, ADA, ADA),
        (ADA, ADA, None),
        (ADA, ARGO, None),  # what was Ada's is no longer there
        (ADA, Author("helm", ADA.time), Author("helm", ADA.time)),
        (ADA, None, None),
    ],
)
def test_only_who_wrote_since_then_wrote_the_change(
    old: Author | None, new: Author | None, expected: Author | None
) -> None:
    assert newly(old, new) == expected


def test_who_scaled_is_told_by_the_subresource_and_without_a_time() -> None:
    fields = [Manager("ada", "2026-11-21T10:00:01Z"), Manager("kubectl", "", "scale")]

    assert scaler(wire.Meta(managedFields=fields)) == "kubectl"
    assert scaler(wire.Meta(managedFields=fields[:1])) == scaler(wire.Meta()) == ""
