"""`probe watch`: one workload's rollout, dialed from here or told by the daemons on the nodes.

What is watched (subject), who dials (here, nodes), and the one run that ties them together, with
the command that triggers the rollout (session). Nothing here prints.
"""
