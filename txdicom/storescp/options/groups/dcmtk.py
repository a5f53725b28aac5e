"""
Options of DCMTK's storescp that ask for what is always so here, and those that are refused.

None is swallowed: what an option asks for is done, or a sentence says what to do instead.
"""

from __future__ import annotations

from txdicom.storescp.options.option import Group, Option, Refused

__all__ = ["ALWAYS", "REFUSED"]

ALWAYS = Group(
    "What is always so",
    (
        Option(name="single-process", help="Serve all associations in one process."),
        Option(name="disable-host-lookup", short=("-dhl",), help="Never ask for the host names of peers."),
        Option(
            name="access-full",
            short=("-ac",),
            excludes=("accept-from",),
            help="Take connections from everywhere; not with --accept-from.",
        ),
        Option(
            name="pem-keys",
            short=("-pem",),
            help="Read keys and certificates in PEM, as well as in DER.",
        ),
        Option(
            name="der-keys",
            short=("-der",),
            help="Read keys and certificates in DER, as well as in PEM.",
        ),
        Option(name="uid-padding", short=("-up",), help="Do not mind the spaces that some machines put behind UIDs."),
        Option(name="padding-off", short=("-p",), help="Do not pad data sets."),
        Option(name="retain-un", short=("-uc",), help="Keep elements of unknown value representation as they are."),
        Option(name="enable-new-vr", short=("+u",), help="Keep the value representations that came after 1993."),
    ),
    introduction="These options of DCMTK's storescp are taken, so that scripts that have them run; nothing changes.",
)

_CONVERT = "data sets are kept byte for byte as they came; convert the files later"
_RANDOM = "the operating system's random numbers need no seed; leave it out"
_PROFILE = "the standard has retired this profile; --profile-bcp195 is the one for the oldest peers"

REFUSED = (
    Refused("arguments", (), "have the shell show the command line with set -x"),
    Refused("log-config", ("-lc",), "say where the log goes by twistd's --logfile or --logger, before 'storescp'"),
    Refused("fork", (), "one process serves all associations at once, and --workers more; leave it out"),
    Refused("access-control", ("+ac",), "give the networks that may come in with --accept-from"),
    # The 1996 letters would make this "ignore" and "debug", and a script of inetd's would lose its images.
    Refused(
        "inetd",
        ("-id",),
        "listen on a socket of systemd's with --endpoint systemd:domain=INET:index=0"
        " (and write -i -d for --ignore --debug)",
    ),
    Refused(
        "std-passwd",
        ("+ps",),
        "a daemon cannot ask for a password; give it in a file with --passwd-file",
    ),
    Refused("profile-basic", ("+pb",), f"its only cipher, 3DES, is broken; {_PROFILE}"),
    Refused("profile-aes", ("+pa",), f"it has no forward secrecy and allows 3DES; {_PROFILE}"),
    Refused("profile-null", ("+pn",), f"it encrypts nothing; {_PROFILE}"),
    Refused("seed", ("+rs",), _RANDOM),
    Refused("write-seed", ("+ws",), _RANDOM),
    Refused("write-seed-file", ("+wf",), _RANDOM),
    Refused("disable-new-vr", ("-u",), f"{_CONVERT} with dcmconv --disable-new-vr"),
    Refused("group-length-recalc", ("+g=",), f"{_CONVERT} with dcmconv --group-length-recalc"),
    Refused("group-length-create", ("+g",), f"{_CONVERT} with dcmconv --group-length-create"),
    Refused("group-length-remove", ("-g",), f"{_CONVERT} with dcmconv --group-length-remove"),
    Refused("length-explicit", ("+e",), f"{_CONVERT} with dcmconv --length-explicit"),
    Refused("length-undefined", ("-e",), f"{_CONVERT} with dcmconv --length-undefined"),
    Refused("padding-create", ("+p",), f"{_CONVERT} with dcmconv --padding-create"),
    Refused("convert-un", ("+uc",), f"{_CONVERT} with dcmconv --convert-un"),
    Refused("compression-level", ("+cl",), f"{_CONVERT} with dcmconv --compression-level"),
)
