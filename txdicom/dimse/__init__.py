"""DIMSE (PS3.7): messages, the operations that they make up, and associations that carry them."""
