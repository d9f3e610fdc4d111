"""What a reader chooses at the top of a dashboard, and the selectors that follow from it.

The label `cluster` is one that Prometheus may add to its targets; where there is none, its choice
is All, which also fits series without the label.
"""

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

CLUSTER = 'cluster=~"$cluster"'
NODE = f'{CLUSTER}, node=~"$node"'
SERVICES = f'{NODE}, namespace=~"$namespace", service=~"$service"'
ONE_SERVICE = f'{NODE}, namespace="$namespace", service="$service"'
WORKLOADS = f'{NODE}, namespace=~"$namespace"'

LABEL_VALUES = 1
"""Which of the questions in the variable's editor it is (grafana-prometheus, QueryType)."""

ANYTHING = ".*"
"""What All stands for: also no label at all."""


def datasource() -> DatasourceVariable:
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def _query(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .query({"qryType": LABEL_VALUES, "query": query, "refId": name})
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _any(variable: QueryVariable) -> QueryVariable:
    """One that begins with All."""
    return (
        variable.include_all(True)
        .all_value(ANYTHING)
        .multi(True)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def cluster() -> QueryVariable:
    return _any(_query("cluster", "Cluster", "label_values(edgeprobe_build_info, cluster)"))


def node() -> QueryVariable:
    found = f"label_values(edgeprobe_build_info{{{CLUSTER}}}, node)"
    return _any(_query("node", "Seen from node", found))


def namespace() -> QueryVariable:
    return _any(_namespace())


def service() -> QueryVariable:
    selector = f'{CLUSTER}, namespace=~"$namespace"'
    return _any(
        _query("service", "Service", f"label_values(edgeprobe_verdict{{{selector}}}, service)")
    )


def one_namespace() -> QueryVariable:
    return _namespace()


def one_service() -> QueryVariable:
    selector = f'{CLUSTER}, namespace="$namespace"'
    return _query("service", "Service", f"label_values(edgeprobe_verdict{{{selector}}}, service)")


def _namespace() -> QueryVariable:
    found = f"label_values(edgeprobe_verdict{{{CLUSTER}}}, namespace)"
    return _query("namespace", "Namespace", found)
