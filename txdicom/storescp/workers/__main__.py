"""What the parent runs as a worker: ``python -m txdicom.storescp.workers``; there is no other use of it."""

from txdicom.storescp.tap import runWorker

if __name__ == "__main__":
    runWorker()
