"""Operations and faults that not every ground can play, by name."""

PROXY_RESTART = "kube-proxy restart"
NODE_DRAIN = "node drain"
API_RESTART = "API server restart"

ONE_DROPS = "one pod drops"
ALL_DROP = "all pods drop"
ONE_RESETS = "one pod resets"
ALL_REJECT = "all pods reject"
STALE_PROXY = "stale kube-proxy"
CUT_OFF = "node cut off"

OF_NODES_AND_PACKETS = frozenset(
    {
        *(NODE_DRAIN, PROXY_RESTART, STALE_PROXY, CUT_OFF),
        *(ONE_DROPS, ALL_DROP, ONE_RESETS, ALL_REJECT),
    }
)
