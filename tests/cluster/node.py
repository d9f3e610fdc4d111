"""A node: a network namespace with a real kube-proxy, and a kubelet or a stand-in for it."""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.cluster.binaries import binary
from tests.cluster.credentials import Credentials
from tests.cluster.faults import Faults
from tests.cluster.inside import Inside
from tests.cluster.machine import Machine
from tests.cluster.network import API_SERVICE, PODS, PODS6, Network, NodeNetwork
from tests.cluster.processes import Program
from tests.cluster.settings import Settings

HEALTH_PORT = 10256
"""kube-proxy's own default."""


class Node:
    """One node of a cluster; its programs may be killed, frozen, stopped and started.

    Its `faults` meet dials to it and to the pods behind it; `inside` runs commands on it. With
    `images` its kubelet is a real one, on a `machine`; that one renews no tokens when told.
    """

    def __init__(
        self,
        network: Network,
        place: NodeNetwork,
        *,
        mode: str,
        api: str,
        credentials: Credentials,
        folder: Path,
        images: Path | None = None,
    ) -> None:
        self.name = place.name
        self.namespace = place.namespace
        self.address = place.address
        self.address6 = place.address6
        self.gateway = place.gateway
        self.inside = Inside(place.namespace, folder)
        self.faults = Faults(place.namespace)
        self._network = network
        self._place = place
        self._mode = mode
        self._api = api
        self._credentials = credentials
        self._folder = folder
        self.proxy = self._program("kube-proxy", [binary("kube-proxy"), f"--config={self._config}"])
        self.machine = Machine(place, images, folder) if images else None
        self.kubelet = self.machine.program if self.machine else self._stand_in()

    @property
    def _config(self) -> Path:
        return self._folder / f"kube-proxy-{self.name}.json"

    @property
    def _settings(self) -> Path:
        return self._folder / f"kubelet-{self.name}.json"

    def start_kubelet(self) -> None:
        if self.machine is not None:
            self.machine.start_kubelet(self._credentials.kubeconfig(self._api, self.name))
            return
        settings = Settings(
            kubeconfig=str(self._credentials.kubeconfig(self._api, self.name)),
            node=self.name,
            address=self.address,
            address6=self.address6,
            pods=self._place.pods,
            pods6=self._place.pods6,
            gateway=self.gateway,
            prefix=self._network.prefix,
            service=API_SERVICE,
            folder=str(self._folder / self.name),
        )
        self._settings.write_text(json.dumps(asdict(settings)))
        self.kubelet.start()

    def start_proxy(self) -> None:
        """It asks for its Node at once, and takes seconds to ask again: register that first."""
        kubeconfig = self._credentials.kubeconfig(self._api, "proxy", f"proxy-{self.name}")
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": self._mode,
            "hostnameOverride": self.name,
            "clusterCIDR": f"{PODS},{PODS6}",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "healthzBindAddress": f"0.0.0.0:{HEALTH_PORT}",
            # Zero: as the namespace has them, which may not be raised from inside.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
        self._config.write_text(json.dumps(config))
        self.proxy.start()

    def cut_off(self) -> None:
        """Pulls the cable: to the API server, to the other nodes, and for the pods here."""
        self._network.cut_off(self._place)

    def rejoin(self) -> None:
        self._network.rejoin(self._place)

    def kill(self) -> None:
        """As a power cut would: kube-proxy, kubelet and pods die, and nothing answers."""
        self.cut_off()
        self.proxy.kill()
        self.kubelet.kill()

    def revive(self) -> None:
        """After `kill`. Its pods start anew, perhaps at other addresses."""
        self.rejoin()
        self.start_kubelet()
        self.start_proxy()

    def renew_tokens(self) -> None:
        """Makes the service account tokens of its pods anew, long before they expire."""
        self.kubelet.send(signal.SIGHUP)

    def remove(self) -> None:
        """Ends everything that runs on it."""
        self.proxy.kill()
        self.kubelet.kill()
        if self.machine is not None:
            self.machine.remove()

    def _stand_in(self) -> Program:
        command = [sys.executable, "-m", "tests.cluster.kubelet", str(self._settings)]
        return self._program("kubelet", command)

    def _program(self, name: str, command: list[str]) -> Program:
        return Program(
            f"{name}-{self.name}", command, folder=self._folder, namespace=self.namespace
        )
