"""The embedded cluster: an API server, pods and a proxy in one process, all on 127.0.0.0/8.

For `probe demo` and for tests that need a cluster without root or binaries. It is a stand-in
written by us and so shares our misunderstandings: what must hold on Kubernetes is tested there.
"""
