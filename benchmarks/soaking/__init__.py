"""
The soak: a real receiver, loaded, maltreated and killed, and every object of it checked.

::

    contents      what is sent; made from a seed, and made again to compare
    ledger        what was sent and answered, and so what has to be in the directory; compares the two
    fileformat    takes a stored file apart, written apart from txdicom
    peer          a DICOM requestor on asyncio, which can misbehave
    senders       load: associations that are in order
    misbehaviour  load: associations that are not
    gate          lets load through, or holds it back
    process       the receiver as a process: started, killed, stopped, measured
    run           all of it together, by a schedule
    report        what came of it
"""
