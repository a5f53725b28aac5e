"""
The installed receiver and senders that other people wrote, over real TCP connections.

Every conversation goes through a relay that records it, and what the relay saw is taken apart by code of these tests'
own (`wire`), so that the receiver is never judged by its own understanding of the protocol. A sender that is not
installed makes its tests skip, or fail where the environment has ``CI_REQUIRE_PEERS=1``.
"""
