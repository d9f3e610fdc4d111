"""Why a connection in a Kubernetes cluster failed, and what changed before it did."""

__version__ = "0.1.0"
