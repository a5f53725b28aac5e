"""Tests of `txdicom.storescp.options.spelling`: however it is written, the same is understood."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from tests.test_options_table import VALUES
from txdicom.storescp.options.option import Option
from txdicom.storescp.options.spelling import readArguments
from txdicom.storescp.options.table import BY_SPELLING, OPTIONS

#: What an argument of an option may look like: what is like an option, and anything.
TEXTS = st.one_of(st.sampled_from(["-v", "--", "--debug", "+u", "-", "", "=", *VALUES]), st.text(max_size=5))


@st.composite
def written(draw: st.DrawFn) -> tuple[Option, list[str], list[str]]:
    """Draw an option, its arguments, and one of the ways to write both."""
    option = draw(st.sampled_from(list(OPTIONS.values())))
    texts = [draw(TEXTS) for _ in option.takes]
    ways = [[name, *texts] for name in (*option.short, option.spelled)]
    if texts:
        ways.append([f"{option.spelled}={texts[0]}", *texts[1:]])
    for length in range(3, len(option.spelled)):
        prefix = option.spelled[:length]
        if [name for name in OPTIONS if f"--{name}".startswith(prefix)] == [option.name] and prefix not in BY_SPELLING:
            ways.append([prefix, *texts])
    return option, texts, draw(st.sampled_from(ways))


class PropertyTests(SynchronousTestCase):
    """Whatever the arguments are."""

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.one_of(written(), st.from_regex(r"[^-+].*", fullmatch=True)), max_size=8))
    def test_everyWayIsTheSame(self, parts: list[tuple[Option, list[str], list[str]] | str]) -> None:
        """Options and their arguments come back in their order, and so does what stands between them."""
        arguments = [text for part in parts for text in ([part] if isinstance(part, str) else part[2])]
        given, ports = readArguments(arguments)
        expected = [(part[0], part[1]) for part in parts if not isinstance(part, str)]
        self.assertEqual([(option, list(texts)) for option, texts in given], expected)
        self.assertEqual(ports, [part for part in parts if isinstance(part, str)])

    @settings(deadline=None, max_examples=300)
    @given(st.permutations("vdri"), st.integers(0, 4), st.sampled_from(["", "s", "S", "b"]), st.text(max_size=4))
    def test_lettersTogether(self, letters: list[str], count: int, last: str, text: str) -> None:
        """Letters together are the same as one by one, with the argument of the last glued to it or behind it."""
        chosen = letters[:count]
        apart = [f"-{letter}" for letter in chosen] + ([f"-{last}", text] if last else [])
        together = "-" + "".join([*chosen, last])
        if together in BY_SPELLING or together == "-":
            return
        self.assertEqual(readArguments([together, *([text] if last else [])]), readArguments(apart))
        if last and text and f"{together}{text}" not in BY_SPELLING:
            self.assertEqual(readArguments([f"{together}{text}"]), readArguments(apart))

    @settings(deadline=None, max_examples=500)
    @given(st.lists(st.one_of(st.sampled_from(sorted(BY_SPELLING)), TEXTS, st.text("-+=vdsb", max_size=5)), max_size=6))
    def test_optionsOrSentence(self, arguments: list[str]) -> None:
        """Anything is understood or refused; nothing else happens, and nothing is lost."""
        try:
            given, ports = readArguments(arguments)
        except usage.UsageError as error:
            self.assertTrue(str(error))
        else:
            for option, texts in given:
                self.assertEqual(len(texts), len(option.takes))
            for text in (*ports, *(text for one in given for text in one.texts)):
                self.assertTrue(any(argument.endswith(text) for argument in arguments), text)
