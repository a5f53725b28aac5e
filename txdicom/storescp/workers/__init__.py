"""
Several processes for one receiver: ``--workers``.

Theory of operation. The parent is what twistd runs. It listens, accepts every connection, and hands it to the worker
that has the fewest (`accepting`, `receiving`); it reads nothing that peers send. Each worker is an interpreter of its
own with a whole receiver in it (`worker`), whose endpoints are the parent's: instead of listening they take what is
handed over. Parent and workers have three things between them:

`board`
    Numbers in memory that all of them see: how many connections and associations each worker has, and how much it has
    done. Limits that count for all workers are checked there, without asking anybody.
`channel`
    AMP over a socket: a worker says that it is ready or leaves, and asks what only one process can decide; the parent
    tells it to stop.
`log`
    The worker's standard output: its events, which the parent puts into the one log.

`crew` starts the workers, replaces those that end, and stops them; `parent` is the service around it. A worker whose
parent goes, however that happens, finds its channel closed, and stops as if it had been told to.
"""
