"""Programs that load a receiver, to measure it and to prove what it promises."""
