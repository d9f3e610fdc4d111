"""Manifests as people write them, in short, and what the rules say of them."""

from textwrap import dedent, indent
from typing import NamedTuple

from probe.lint.documents import objects
from probe.lint.findings import Finding
from probe.lint.manifests import Manifests
from probe.lint.parsing import Parser
from probe.lint.rules import RULES
from probe.lint.sources import Source

LISTENS = "{name: web, env: [{name: LISTEN_ADDR, value: '0.0.0.0:8080'}]}"
PROBED = (
    "{name: web, ports: [{name: http, containerPort: 8080}], "
    "readinessProbe: {httpGet: {port: http}}}"
)
"""Containers that are surely meant to listen on 8080."""


class Said(NamedTuple):
    """A finding, in short: `quoted` is the line that it points at."""

    rule: str
    severity: str
    quoted: str


def findings(*texts: str, **files: str) -> list[Finding]:
    """What all rules find in these texts together, and in files by the name (`__` for `/`)."""
    named = {f"set/{number}.yaml": text for number, text in enumerate(texts)}
    named |= {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    documents = [
        document
        for name, text in named.items()
        for index, parsed in enumerate(Parser().parse(dedent(text)))
        for document in objects(Source(name, dedent(text)), index, parsed)
    ]
    manifests = Manifests(documents)
    return [finding for check in RULES for finding in check.find(manifests)]


ABOUT_ROLLOUTS = ("readiness-probe-missing", "drain-missing")


def said(*texts: str, **files: str) -> list[Said]:
    """The same in short, but for what is said of rollouts, which most short manifests lack."""
    named = {f"set/{number}.yaml": text for number, text in enumerate(texts)}
    named |= {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    return [
        Said(f.rule.id, str(f.severity), dedent(named[f.source]).splitlines()[f.line - 1].strip())
        for f in findings(*texts, **files)
        if f.rule.id not in ABOUT_ROLLOUTS
    ]


def rules(*texts: str, **files: str) -> list[str]:
    """The rules alone."""
    return [each.rule for each in said(*texts, **files)]


def mismatch(*texts: str, **files: str) -> list[tuple[str, bool]]:
    """Severity, and whether there is an edit."""
    found = findings(*texts, **files)
    return [(f.severity, bool(f.edit)) for f in found if f.rule.id == "target-port-mismatch"]


def service(*ports: str, name: str = "web", more: str = "selector: {app: web}") -> str:
    """A Service of these ports, each a map in flow style."""
    head = f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  {more}\n"
    return head + "  ports:\n" + "".join(f"    - {port}\n" for port in ports)


def workload(
    container: str = "{name: web}",
    *,
    kind: str = "Deployment",
    version: str = "apps/v1",
    name: str = "web",
    labels: str = "{app: web}",
    more: str = "",
) -> str:
    """A Deployment, or the like, of one container, in flow style; `more` is for its pods' spec."""
    head = f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
    image = container if "image:" in container else container.replace("{", "{image: web:1, ", 1)
    spec = f"spec:\n  containers:\n    - {image}\n" + indent(dedent(more), "  ") + "\n"
    pod = f"metadata: {{labels: {labels}}}\n{spec}"
    if kind == "Pod":
        return head.replace("metadata: {", f"metadata: {{labels: {labels}, ") + spec
    template = f"template:\n{indent(pod, '  ')}"
    if kind == "CronJob":
        return f"{head}spec:\n  jobTemplate:\n    spec:\n{indent(template, '      ')}"
    return f"{head}spec:\n  selector: {{matchLabels: {labels}}}\n{indent(template, '  ')}"


def config_map(data: str, name: str = "settings") -> str:
    head = f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n"
    return head + indent(dedent(data), "  ") + "\n"
