"""``python -m txdicom`` is the command `txdicom`."""

from txdicom.cli.main import run

if __name__ == "__main__":
    run()
