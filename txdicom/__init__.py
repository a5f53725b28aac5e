"""
DICOM networking for Twisted.

The layers, each of which knows only those above it in this list: `txdicom.upperlayer` (PS3.8: PDUs and associations),
`txdicom.dimse` (PS3.7: messages), `txdicom.services` (PS3.4: what the messages mean), `txdicom.storage` (where
instances are kept), `txdicom.requestor` (which sends and queries), `txdicom.storescp` (the program that twistd runs)
and `txdicom.cli` (the command that sends). `txdicom.interfaces` has every contract.
"""

#: The version of txdicom, as PEP 440 has it.
__version__ = "0.1.0"
__all__ = ["__version__"]
