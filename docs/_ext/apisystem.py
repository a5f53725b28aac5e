"""How pydoctor reads txdicom's docstrings: `System`."""

from __future__ import annotations

import re
from typing import Any

from pydoctor.model import System as PydoctorSystem

#: What looks like one of our classes or modules, and so has to be one.
_OURS = re.compile(r'Cannot find link target for "(txdicom[\w.]*|_*[A-Z]+[a-z]\w*)"')


class System(PydoctorSystem):
    """
    Takes single backticks for what they are in txdicom: any name, of which only some are links.

    Parameters, attributes of whatever is talked about, and quoted text are shown as they are. The name of a class, or a
    path that begins with ``txdicom``, still has to lead somewhere.
    """

    def msg(self, section: str, msg: str, thresh: int = 0, *arguments: Any, **keywords: Any) -> None:
        """Print a message, unless it complains of a name that need not be a link."""
        if section == "resolve_identifier_xref" and not _OURS.search(msg):
            return
        super().msg(section, msg, thresh, *arguments, **keywords)
