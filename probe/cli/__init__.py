"""The commands. Each file is one: its arguments, its printing, its exit code.

Results go to stdout, everything else to stderr. Exit codes, the first that applies: 2 wrong
usage or configuration, 1 a failure was found, 3 could not tell, 0 healthy.
"""
