"""The receiver that twistd runs: options, the service, log, hooks, TLS, workers."""
