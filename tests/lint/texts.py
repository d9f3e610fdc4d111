"""Manifests in tests: texts in, documents and findings out."""

from probe.lint.documents import Document
from probe.lint.findings import Finding
from probe.lint.linting import Report, lint_texts
from probe.lint.reading import read
from probe.lint.sources import Source

NAME = "a.yaml"


def documents(text: str) -> list[Document]:
    return [each for each in read([Source(NAME, text)], {}) if isinstance(each, Document)]


def troubles(text: str, *, asked: bool = True) -> list[Finding]:
    """What is found wrong with the text itself."""
    return [each for each in read([Source(NAME, text, asked)], {}) if isinstance(each, Finding)]


def linted(text: str) -> Report:
    return lint_texts([Source(NAME, text)])


def brief(report: Report) -> list[tuple[str, int]]:
    """Rules and lines."""
    return [(finding.rule.id, finding.line) for finding in report.findings]


INCIDENT = """\
apiVersion: v1
kind: Service
metadata:
  name: backend-v1
  namespace: demo-app
spec:
  selector:
    app: backend-v1
  ports:
    - port: 8080
      targetPort: 8081  # as it was before the move
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: backend-v1
  namespace: demo-app
spec:
  selector:
    matchLabels:
      app: backend-v1
  template:
    metadata:
      labels:
        app: backend-v1
    spec:
      containers:
        - name: backend
          image: registry.example/backend:1
          env:
            - name: LISTEN_ADDR
              value: 0.0.0.0:8080
          readinessProbe:
            tcpSocket:
              port: 8080
          lifecycle:
            preStop:
              sleep:
                seconds: 5
"""
"""The manifests of a port mismatch: one error, in line 11."""
