"""`probe lint` over ten thousand documents in one process, beside PyYAML's reading of the text.

Processor time, as other programs of this machine do not count: a run alone takes as long.
"""

import gc
import time
from collections.abc import AsyncIterator

import yaml

from probe.lint.linting import lint_texts
from probe.lint.reading import read
from probe.lint.sources import Source
from tests.bench.options import Options
from tests.bench.report import Spread, Table, ratios

DOCUMENTS = 10_000

NAMESPACES = 100

COLUMNS = {
    "read": "s to read",
    "yaml": "s CSafeLoader",
    "ratio": "ratio",
    "lint": "s with rules",
}

APPLICATION = """\
apiVersion: v1
kind: Service
metadata: {{name: web-{n}, namespace: space-{space}}}
spec:
  selector:
    app: web-{n}
  ports:
    - name: http
      port: 80
      targetPort: {target}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{n}
  namespace: space-{space}
  labels: {{app: web-{n}, team: checkout}}
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web-{n}
  template:
    metadata:
      labels:
        app: web-{n}
    spec:
      containers:
        - name: web
          image: registry.example/web:{n}
          env:
            - name: LISTEN_ADDR
              value: 0.0.0.0:8080
            - name: NEXT_URL
              value: "http://web-{n}.space-{space}.svc:80/"
          ports:
            - name: http
              containerPort: 8080
          readinessProbe:
            httpGet: {{path: /healthz, port: http}}
            periodSeconds: 5
          lifecycle:
            preStop:
              sleep: {{seconds: 5}}
          resources:
            limits: {{cpu: 100m, memory: 128Mi}}
---
"""
"""A Service and its Deployment; of every hundred one has a wrong targetPort."""


async def bench(options: Options) -> AsyncIterator[Table]:
    """Read as texts, read by PyYAML's fastest loader, and linted; in turns."""
    text = "".join(
        APPLICATION.format(n=n, space=n % NAMESPACES, target=8080 if n % 100 else 8081)
        for n in range(DOCUMENTS // 2)
    )
    source = Source("all.yaml", text)
    took: dict[str, list[float]] = {"read": [], "yaml": [], "lint": []}
    findings = 0
    for _ in range(options.rounds):
        gc.disable()
        try:
            began = time.process_time()
            assert sum(1 for _ in read([source], {})) == DOCUMENTS
            took["read"].append(time.process_time() - began)
            began = time.process_time()
            assert sum(1 for _ in yaml.load_all(text, yaml.CSafeLoader)) == DOCUMENTS + 1
            took["yaml"].append(time.process_time() - began)
        finally:
            gc.enable()
        began = time.process_time()
        findings = len(lint_texts([source]).findings)
        took["lint"].append(time.process_time() - began)
    table = Table(f"lint: {options.rounds} rounds", COLUMNS)
    table.add(
        f"{DOCUMENTS:,} documents",
        f"{len(text) / 1e6:.1f} MB, {findings} findings",
        read=Spread.of(took["read"]),
        yaml=Spread.of(took["yaml"]),
        ratio=ratios(took["read"], took["yaml"]),
        lint=Spread.of(took["lint"]),
    )
    yield table
