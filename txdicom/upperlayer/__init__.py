"""The upper layer (PS3.8): bytes, PDUs, the state machine, and what is negotiated."""
