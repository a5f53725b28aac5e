"""
Faults on purpose: ``--fault``, ``--abort-during`` and ``--abort-after``, for people who test their senders.

`plan` says what a fault is and which objects it happens to, `spelling` how it is written on the command line, and
`store` makes it happen.
"""
