"""The command `txdicom`: echo and send."""
