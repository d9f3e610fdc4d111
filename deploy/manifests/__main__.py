"""`python -m deploy.manifests` writes deploy/probe.yaml and deploy/kustomize from the chart.

deploy/probe.yaml is the chart with its own values and its namespace, but without a key for the API:
who makes a Secret `edgeprobe` with `api-key` in it sets one. The base of deploy/kustomize is the
same, file by file; its components' resources are what the chart makes with other values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.manifests.chart import CHART, NOTES, merged, render

DEPLOY = CHART.parent

VALUES = {"apiKey": {"create": False}}
"""A key that everybody can read is none."""

HEAD = "# Written by `python -m deploy.manifests` from deploy/chart: change it there.\n"

ABOUT = "# probe as a DaemonSet, which lists, watches and posts Events: `kubectl apply -f` this.\n"

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: edgeprobe
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""

BASE = ("namespace.yaml", "serviceaccount.yaml", "rbac.yaml", "service.yaml", "daemonset.yaml")
"""In the order in which they are applied."""

OVERLAYS: Mapping[str, Mapping[str, Any]] = {
    "host-network": {"hostNetwork": True},
    "monitoring": {
        name: {"enabled": True} for name in ("podMonitor", "prometheusRule", "dashboards")
    },
    "namespaced": {"namespaces": ["default"]},
    "network-policy": {"networkPolicy": {"enabled": True, "apiServers": ["192.0.2.1/32"]}},
}
"""The values of the chart that make the same as an overlay, which is the base and the component of
that name; 192.0.2.1 is nobody's (RFC 5737)."""

RESOURCES = {
    "monitoring": ("podmonitor.yaml",),
    "namespaced": ("rbac.yaml",),
    "network-policy": ("networkpolicy.yaml",),
}
"""What of that a component takes as it is. What else it needs it says itself, as a patch would not
be found in the chart."""


def files() -> dict[str, str]:
    """Each file's text by its path in deploy/."""
    texts = {"namespace.yaml": NAMESPACE, **render(VALUES)}
    assert {*texts} == {*BASE, NOTES}
    base = {name: _text(texts[name]) for name in BASE}
    names = "".join(f"  - {name}\n" for name in BASE)
    found = {
        "probe.yaml": ABOUT + HEAD + "---\n".join(base.values()),
        "kustomize/base/kustomization.yaml": f"{HEAD}resources:\n{names}",
        **{f"kustomize/base/{name}": HEAD + text for name, text in base.items()},
    }
    for component, taken in RESOURCES.items():
        made = render(merged(VALUES, OVERLAYS[component]))
        for name in taken:
            found[f"kustomize/components/{component}/{name}"] = HEAD + _text(made[name])
    return found


def _text(rendered: str) -> str:
    return rendered.strip("\n").removeprefix("---\n") + "\n"


def write(folder: Path) -> None:
    """Writes all of them there."""
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(DEPLOY)
