"""The API server's door: who we are to it, what it sends, taken apart within bounded memory.

`upstream` alone imports kubernetes_asyncio, which brings authentication and TLS. Requests, paging
and watches are ours, so that no body is ever larger in memory than we allow, whoever sends it.
"""
