"""Makes ``twistd storescp`` known; txdicom itself is imported only when it is run."""

from twisted.application.service import ServiceMaker

storescp = ServiceMaker(
    "txdicom storescp", "txdicom.storescp.tap", "DICOM storage receiver (Storage and Verification SCP).", "storescp"
)
