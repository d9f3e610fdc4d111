"""The incidents, played on the embedded cluster against the real daemon.

The script knows what it injects, the daemon does not: what counts as found comes from the
daemon's own API and metrics, over HTTP, and the two are compared at the end.
"""
