"""What came of a soak, for people: `table`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.soaking.ledger import Fault
from benchmarks.soaking.run import Outcome, Parameters

__all__ = ["table"]


def table(parameters: Parameters, outcome: Outcome) -> str:
    """Tell it all in one table, with the first faults below it if there are any."""
    lines = [f"{name:<44} {value}" for name, value in _rows(parameters, outcome)]
    return "\n".join([*lines, *outcome.load.ledger.details, ""])


def _rows(parameters: Parameters, outcome: Outcome) -> Iterator[tuple[str, object]]:
    ledger, receiver = outcome.load.ledger, outcome.load.receiver
    counts = ledger.counts
    yield "seconds of load, seed, senders", f"{outcome.elapsed:.0f}, {parameters.seed}, {parameters.senders}"
    yield "objects begun", counts["begun"]
    yield "  cut short or not as announced", counts["begun"] - counts["whole"]
    yield "  sent whole", f"{counts['whole']} ({counts['whole'] / max(outcome.elapsed, 0.001):.0f} a second)"
    yield "  answered with another status than 0x0000", counts["refused"]
    yield "  sent whole, connection ended unanswered", counts["unanswered"]
    yield "  acknowledged (0x0000)", counts["acknowledged"]
    yield "    verified byte for byte", counts["verified"]
    yield "    replaced by another content of their UID", counts["replaced"]
    yield "unanswered, and found whole", counts["unacknowledged"]
    yield "MiB verified, removed when verified", f"{counts['bytes'] / (1 << 20):.1f}"
    for manner, number in sorted(outcome.load.manners.items()):
        yield f"associations: {manner}", number
    latencies = sorted(outcome.load.latencies)
    if latencies:
        middle, high = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
        told = f"{middle:.1f}, {high:.1f}, {latencies[-1] * 1000:.1f}"
        yield "ms until a good object is answered: 50 %, 99 %, all", told
    restarts = receiver.restarts
    yield "kills", len(restarts)
    if restarts:
        yield "  seconds to listening: first, last, most", f"{restarts[0]:.2f}, {restarts[-1]:.2f}, {max(restarts):.2f}"
    yield "temporary files left, of these by kills", f"{outcome.left}, {outcome.orphans}"
    if outcome.rests:
        memory = (receiver.fresh.memory, outcome.rests[0].memory, outcome.rests[-1].memory, outcome.rests[-1].peak)
        told = ", ".join(f"{number / (1 << 20):.1f}" for number in memory)
        yield "MiB: start, first rest, last rest, peak", f"{told} ({len(outcome.rests)} rests since the last kill)"
        descriptors = (outcome.usualDescriptors, outcome.rests[-1].descriptors, outcome.mostDescriptors)
        yield "descriptors: start, last rest, peak", ", ".join(map(str, descriptors))
        yield "  leaked", outcome.leakedDescriptors
    for fault in Fault:
        yield f"must be 0: {fault}", ledger.faults[fault]
    yield "the promise", "was kept" if outcome.kept else "WAS BROKEN"
