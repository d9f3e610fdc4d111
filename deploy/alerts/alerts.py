"""The alerts, once: what each asks of the metrics, how long it must hold, and what it says.

`python -m deploy.alerts` writes them as Prometheus' rule file, as a PrometheusRule and, with what
silences what, for Alertmanager. A verdict that pages is told within a minute of the fault at an
interval of 10 s and scrapes of 15 s: the verdict stands after 12 s at most, is scraped 15 s later,
evaluated 10 s later and must hold for another 10 to 20 s.

`node` is always the node that the alert is about. Verdicts that are no single Service's alone
(a node's network, its kube-proxy, the prober itself) are one alert for each node, however many
Services they take along; a rollout is one for each workload. Each keeps the label `cluster`, where
there is one: it tells several clusters apart in one Prometheus, or in one Alertmanager.
"""

from deploy.alerts.dials import DIALS
from deploy.alerts.probers import PROBERS
from deploy.alerts.service_ports import SERVICE_PORTS
from deploy.alerts.shared_causes import SHARED_CAUSES

ALERTS = (*SERVICE_PORTS, *SHARED_CAUSES, *DIALS, *PROBERS)
