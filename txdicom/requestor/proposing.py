"""What a requestor proposes: presentation contexts for what is to be sent, and the A-ASSOCIATE-RQ that carries them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from txdicom.errors import LocalProtocolError
from txdicom.services.instances import Identity
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from txdicom.upperlayer.items import MAX_PRESENTATION_CONTEXTS, PresentationContextRQ

__all__ = ["Contexts", "Proposal", "contextsFor", "encodeContexts", "listContexts", "proposalsFor"]

#: The abstract syntax and the transfer syntaxes of one presentation context.
Proposal: TypeAlias = tuple[str, tuple[str, ...]]
#: Presentation contexts as a caller gives them. An abstract syntax alone is proposed in the syntaxes everybody has.
Contexts: TypeAlias = "Mapping[str, Iterable[str]] | Iterable[str | tuple[str, Iterable[str]]]"

_USUAL = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def listContexts(contexts: Contexts) -> list[Proposal]:
    """Bring presentation contexts into one form."""
    pairs = contexts.items() if isinstance(contexts, Mapping) else contexts
    return [(pair, _USUAL) if isinstance(pair, str) else (pair[0], tuple(pair[1])) for pair in pairs]


def contextsFor(identities: Iterable[Identity]) -> list[Proposal]:
    """
    Tell which presentation contexts are needed to send instances.

    Each of their transfer syntaxes is in a context of its own, so that the peer can accept all of them; and each SOP
    class is also proposed in the syntaxes that everybody has, in case it has to be converted.
    """
    return [context for contexts in _contextsBySOPClass(identities) for context in contexts]


def proposalsFor(identities: Iterable[Identity]) -> list[list[Proposal]]:
    """
    Divide what `contextsFor` tells into as many associations as it takes: one has at most 128 contexts.

    What belongs to one SOP class stays together.
    """
    proposals: list[list[Proposal]] = [[]]
    for contexts in _contextsBySOPClass(identities):
        if len(proposals[-1]) + len(contexts) > MAX_PRESENTATION_CONTEXTS:
            proposals.append([])
        proposals[-1] += contexts
    return proposals


def _contextsBySOPClass(identities: Iterable[Identity]) -> Iterator[list[Proposal]]:
    syntaxes: dict[str, dict[str, None]] = {}
    for identity in identities:
        syntaxes.setdefault(identity.sopClassUID, {})[identity.transferSyntaxUID] = None
    for sopClassUID, its in syntaxes.items():
        usual = tuple(transferSyntaxUID for transferSyntaxUID in _USUAL if transferSyntaxUID not in its)
        yield [(sopClassUID, own) for own in (*((transferSyntaxUID,) for transferSyntaxUID in its), usual) if own]


def encodeContexts(contexts: Iterable[Proposal]) -> tuple[PresentationContextRQ, ...]:
    """
    Number presentation contexts.

    :raises LocalProtocolError: there are none, or more than 128.
    """
    distinct = list(dict.fromkeys(contexts))
    if not 0 < len(distinct) <= MAX_PRESENTATION_CONTEXTS:
        raise LocalProtocolError(f"an association has 1 to {MAX_PRESENTATION_CONTEXTS} contexts, not {len(distinct)}")
    return tuple(
        PresentationContextRQ(2 * index + 1, abstractSyntax, transferSyntaxes)
        for index, (abstractSyntax, transferSyntaxes) in enumerate(distinct)
    )
