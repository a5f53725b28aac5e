"""The experiments: which question each one answers, and what it measures of whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.fairness import echoBesideStreams, largeBesideSmall
from benchmarks.growth import growth
from benchmarks.idle import idlePeers
from benchmarks.receiver import Bench, Workload
from benchmarks.results import Row
from benchmarks.senders import SENDERS
from benchmarks.sending import Sending
from benchmarks.servers import Server

__all__ = ["EXPERIMENTS", "MICRO", "Experiment", "withFullGrowth"]

_US, _FAST_PEER = "txdicom", "dcmtk +B"
_LARGE_PDUS, _FAST_PEER_LARGE_PDUS = "txdicom --max-pdu 131072", "dcmtk +B -pdu 131072"
_SMALL, _CT = "5 KiB", "512 KiB"


@dataclass(frozen=True, slots=True)
class Experiment:
    """
    One question.

    :ivar question: what is asked, one or two sentences.
    :ivar servers: who is asked, by names of `benchmarks.servers.SERVERS`, or of `benchmarks.senders.SENDERS`.
    :ivar shown: which measures are shown, by keys of `benchmarks.results.MEASURES`; the first one as a picture.
    :ivar workloads: what each of them has to do; or `measure` does something else.
    :ivar axis: what `Row.x` is, for a picture of lines; empty for one of bars. Of workloads, it is "associations" or
        "bytes".
    :ivar baseline: the server that the others are compared with; empty for none.
    :ivar who: what the servers are called in tables.
    """

    name: str
    title: str
    question: str
    servers: tuple[str, ...]
    shown: tuple[str, ...]
    workloads: tuple[Workload, ...] | tuple[Sending, ...] = ()
    measure: Callable[[Bench, Server, int], Iterator[Row]] | None = None
    axis: str = ""
    baseline: str = ""
    who: str = "Receiver"


def _each(kind: str, *associations: int) -> tuple[Workload, ...]:
    return tuple(Workload(kind, number) for number in associations)


#: What has no receiver; `benchmarks.micro` measures it.
MICRO = Experiment(
    "micro",
    "Pieces",
    "What do the steps of the hot path cost, each by itself?",
    ("txdicom",),
    ("secondsPerOperation", "bytesPerSecond"),
)

_ALL = (
    Experiment(
        "peers",
        "Beside other receivers",
        "How fast is storescp, and what does it take for that, compared with other receivers on the same machine?",
        (
            *(_US, _LARGE_PDUS, "txdicom --workers 2", "dcmtk", _FAST_PEER, _FAST_PEER_LARGE_PDUS, "dcmtk +B --fork"),
            *("pynetdicom", "orthanc"),
        ),
        ("perSecond", "cpu", "memory", "latency50"),
        (*_each(_SMALL, 1, 8, 64), *_each(_CT, 1, 8), *_each("64 MiB", 1), *_each("", 1, 32)),
        baseline=_FAST_PEER,
    ),
    Experiment(
        "associations",
        "Associations at once",
        "Is more done when more associations send at once, and does it cost more?",
        (_US, _FAST_PEER, "dcmtk +B --fork"),
        ("perSecond", "cpu", "memory", "latency50", "latency99"),
        _each(_SMALL, 1, 8, 64, 512),
        axis="associations",
        baseline=_FAST_PEER,
    ),
    Experiment(
        "sizes",
        "Sizes of objects",
        "How does the rate depend on the size of the objects, and does memory?",
        (_US, _LARGE_PDUS, _FAST_PEER, _FAST_PEER_LARGE_PDUS),
        ("bytesPerSecond", "perSecond", "cpu", "memory"),
        tuple(Workload(kind) for kind in (_SMALL, "32 KiB", "128 KiB", _CT, "8 MiB", "64 MiB", "1 GiB")),
        axis="bytes",
        baseline=_FAST_PEER,
    ),
    Experiment(
        "workers",
        "Workers",
        "What do two processes do that one does not?",
        (_US, "txdicom --workers 2", "dcmtk +B --fork"),
        ("perSecond", "cpu", "memory"),
        (*_each(_SMALL, 8, 64), *_each(_CT, 8)),
        baseline=_US,
    ),
    Experiment(
        "churn",
        "Short associations",
        "How many associations per second connect, get C-ECHO answered and are released?",
        (_US, "dcmtk", "dcmtk +B --fork", "orthanc"),
        ("perSecond", "cpu", "latency50", "latency99"),
        _each("", 1, 8, 32),
        axis="associations",
        baseline="dcmtk",
    ),
    Experiment(
        "clients",
        "Senders of others",
        "How fast do DCMTK's own senders get rid of a directory of files?",
        (_US, "dcmtk", _FAST_PEER),
        ("perSecond", "cpu"),
        tuple(Workload(kind, client=client) for client in ("storescu", "dcmsend") for kind in (_SMALL, _CT)),
        baseline=_FAST_PEER,
    ),
    Experiment(
        "tls",
        "With TLS",
        "What does TLS cost? DCMTK's senders, one and eight at once, send over it, and without it.",
        (_US, "txdicom +tls", "dcmtk +B --fork", "dcmtk +B --fork +tls"),
        ("cpu", "perSecond", "memory"),
        tuple(Workload(kind, number, "storescu") for kind in (_SMALL, _CT) for number in (1, 8)),
        baseline="dcmtk +B --fork +tls",
    ),
    Experiment(
        "sending",
        "Sending",
        "How fast are files sent over one association to a receiver that is never slow, and what does it take?",
        tuple(SENDERS),
        ("perSecond", "perSecondOfAssociation", "bytesPerSecond", "senderCPU"),
        workloads=(Sending(_CT, 1 << 14), Sending(_CT, 1 << 17), Sending(_SMALL, 1 << 14)),
        baseline="storescu",
        who="Sender",
    ),
    Experiment(
        "fsync",
        "On stable storage",
        "What does it cost to have each file on stable storage before it is acknowledged?",
        (_US, "txdicom --fsync"),
        ("perSecond", "cpu", "latency50", "latency99"),
        _each(_SMALL, 1, 8, 32, 64),
        axis="associations",
        baseline=_US,
    ),
    Experiment(
        "idle",
        "Idle peers",
        "What do 1,000 associations cost that do nothing: in memory, and for one that sends?",
        ("txdicom --max-associations 2000", "dcmtk +B --fork", "pynetdicom", "orthanc"),
        ("latency50", "latency99", "memoryPerAssociation", "alive"),
        measure=idlePeers,
    ),
    Experiment(
        "echo",
        "C-ECHO beside streams",
        "How long does a new association wait for the answer to C-ECHO while 64 others send large objects?",
        (_US, "txdicom --workers 2", "dcmtk +B --fork"),
        ("latency50", "latency99", "bytesPerSecond", "evenness"),
        measure=echoBesideStreams,
    ),
    Experiment(
        "fairness",
        "A large sender beside small ones",
        "Do a sender of 1 GiB and 20 senders of small objects leave each other their share?",
        (_US, "txdicom --workers 2", "dcmtk +B --fork"),
        ("bytesPerSecond", "latency50", "latency99", "evenness"),
        measure=largeBesideSmall,
    ),
    Experiment(
        "growth",
        "Growth",
        "Does an object cost more, or memory grow, when very many have come before it into the same directory?"
        " Does it help to spread them over 256?",
        (_US, "txdicom --path {SOPInstanceUID:hash2}/{SOPInstanceUID}"),
        ("cpu", "perSecond", "memory"),
        measure=growth,
        axis="objects",
    ),
    Experiment(
        "smoke",
        "Smoke test",
        "Is all stored that is sent, by every kind of load?",
        (_US,),
        ("perSecond", "cpu", "latency50"),
        (*_each(_SMALL, 1, 8), *_each(_CT, 4), *_each("64 MiB", 1), *_each("", 4)),
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def withFullGrowth(objects: int) -> Callable[[Bench, Server, int], Iterator[Row]]:
    """Give what measures growth up to that many objects."""
    return partial(growth, objects=objects)
