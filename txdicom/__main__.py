"""``python -m txdicom`` is the command `txdicom`."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; see `txdicom.cli.main.run`."""
    # What is imported stays until the end, and looking for garbage in it takes a tenth of a short run. It is turned on
    # again when everything is there.
    gc.disable()
    from txdicom.cli.main import run

    run()


if __name__ == "__main__":
    main()
