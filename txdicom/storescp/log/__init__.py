"""
What storescp tells of its work, and how that is written.

`narration` has the lines of ``--verbose`` and ``--debug``, and `dump` what the latter shows; `summary` tells of each
association as a whole; `numbered` names the association in every such line. `jsonlines` writes all of the log as JSON,
and `output` finds where it goes. Nothing of it exists, and so none of it is called, unless it was asked for.
"""
