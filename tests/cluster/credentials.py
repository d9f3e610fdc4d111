"""Keys, certificates, tokens and kubeconfigs of a cluster that lives for a test."""

import subprocess
from pathlib import Path

import yaml

TOKENS = {
    "admin": ("admin", "system:masters"),
    "nobody": ("nobody", "probe:nobody"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
}
"""Tokens, the users they stand for and their groups; `nobody` may do nothing, and the others what
Kubernetes' own roles for these names allow."""

NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")

_ELLIPTIC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Credentials:
    """Everything that proves anything, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.certificate = folder / "apiserver.crt"
        self.key = folder / "apiserver.key"
        self.service_account_key = folder / "service-account.key"
        self.tokens = folder / "tokens.csv"

    def make(self, addresses: tuple[str, ...], nodes: tuple[str, ...] = ()) -> None:
        """Makes them, for an API server that is reached at these addresses. Takes 30 ms."""
        self.folder.mkdir()
        ca_key = self.folder / "ca.key"
        self._certificate(self.ca, ca_key, "/CN=probe-tests", "basicConstraints=critical,CA:TRUE")
        names = [f"DNS:{name}" for name in NAMES] + [f"IP:{address}" for address in addresses]
        self._certificate(
            self.certificate,
            self.key,
            "/CN=kube-apiserver",
            "basicConstraints=critical,CA:FALSE",
            f"subjectAltName={','.join(names)}",
            signer=(self.ca, ca_key),
        )
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", self.service_account_key)
        known = TOKENS | {node: (f"system:node:{node}", "system:nodes") for node in nodes}
        lines = [f'{token},{user},{user},"{group}"\n' for token, (user, group) in known.items()]
        self.tokens.write_text("".join(lines))

    def kubeconfig(self, url: str, token: str, name: str = "") -> Path:
        """A kubeconfig for the owner of that token, at that URL."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": token,
            "contexts": [{"name": token, "context": {"cluster": "real", "user": token}}],
            "clusters": [
                {
                    "name": "real",
                    "cluster": {"server": url, "certificate-authority": str(self.ca)},
                }
            ],
            "users": [{"name": token, "user": {"token": token}}],
        }
        path = self.folder / f"kubeconfig-{name or token}"
        path.write_text(yaml.safe_dump(config))
        return path

    def _certificate(
        self,
        certificate: Path,
        key: Path,
        subject: str,
        *extensions: str,
        signer: tuple[Path, Path] | None = None,
    ) -> None:
        """`req -x509 -CA` needs openssl 3."""
        added = [word for extension in extensions for word in ("-addext", extension)]
        signed = ("-CA", signer[0], "-CAkey", signer[1]) if signer else ()
        _openssl(
            *("req", "-x509", *_ELLIPTIC, "-subj", subject, *added, *signed),
            *("-keyout", key, "-out", certificate),
        )


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)
