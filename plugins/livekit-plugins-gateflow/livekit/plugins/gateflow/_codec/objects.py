"""JSON objects out of a stream of bytes, however the network has cut it.

The gateway's documentation parses one object a chunk, which fails as soon as a chunk holds half an
object or two. Here objects may be glued together, split anywhere (inside a character too), one a
line, pretty-printed, or wrapped in server-sent events. What is none of these is reported once and
skipped up to the next line, so that one bad line does not cost the rest.
"""

from __future__ import annotations

import codecs
import re

from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.json import loads_object
from livekit.plugins.gatewaykit.limits import Limits

_OUTSIDE = re.compile(r"[{\n]")
_STRUCTURE = re.compile(r"[\"{}\n]")
_STRING = re.compile(r"[\"\\\n]")
_SEPARATORS = re.compile(r"[\s,]*|\s*(?:data:)?\s*(?:\[DONE\])?\s*|\s*(?:event|id|retry)?:.*")
"""What may stand between objects: white space, commas, and the fields of server-sent events."""
_MAY_CONTINUE = frozenset("{[,:")
"""The last character of a line after which an object goes on with ``{``."""

Item = dict[str, object] | ProtocolError


class ObjectStream:
    """Collects bytes and gives out objects, in order.

    Args:
        limits: bounds of one object; a longer one ends the stream.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._position = 0  # up to which the text was looked at
        self._depth = 0
        self._in_string = False

    def push(self, data: bytes) -> list[Item]:
        """Add bytes; return what is complete.

        Raises:
            ProtocolError: an object is longer than allowed.
        """
        self._text += self._decoder.decode(data)
        items: list[Item] = []
        while self._step(items):
            pass
        if self._depth and len(self._text) > self._limits.json_bytes:
            raise ProtocolError("a JSON object is too large")
        return items

    def end(self) -> list[Item]:
        """No more bytes: half an object is an error."""
        items = self.push(b"\n")
        if self._depth:
            items.append(ProtocolError("the stream ended inside a JSON object"))
        self._restart("")
        return items

    def _step(self, items: list[Item]) -> bool:
        if self._depth == 0:
            return self._find_start(items)
        return self._go_on(items)

    def _find_start(self, items: list[Item]) -> bool:
        match = _OUTSIDE.search(self._text, self._position)
        if match is None:
            self._position = len(self._text)
            if self._position > self._limits.json_bytes:
                raise ProtocolError("a line without an object is too long")
            return False
        before = self._text[: match.start()]
        if not _SEPARATORS.fullmatch(before):
            items.append(ProtocolError("a line is neither JSON nor an event"))
        if match.group() == "\n":
            self._restart(self._text[match.end() :])
        else:
            self._text = self._text[match.start() :]
            self._position, self._depth = 1, 1
        return True

    def _go_on(self, items: list[Item]) -> bool:
        pattern = _STRING if self._in_string else _STRUCTURE
        match = pattern.search(self._text, self._position)
        if match is None:
            self._position = len(self._text)
            return False
        self._position = match.end()
        mark = match.group()
        if mark == "\n":
            return self._line_break(items, match.start())
        if self._in_string:
            if mark == "\\":
                return self._skip_escaped(match.start())
            self._in_string = False
        elif mark == '"':
            self._in_string = True
        elif mark == "{":
            self._depth += 1
        else:
            self._depth -= 1
            if self._depth == 0:
                self._complete(items)
        return True

    def _skip_escaped(self, backslash: int) -> bool:
        if self._position == len(self._text):
            self._position = backslash  # what it escapes has not come yet
            return False
        self._position += 1
        return True

    def _line_break(self, items: list[Item], at: int) -> bool:
        """An object may go on after a line break only where JSON lets it."""
        rest = self._text[at:].lstrip()
        if not rest and not self._in_string:
            self._position = at  # what follows decides
            return False
        before = self._text[:at].rstrip()
        broken = rest.startswith("{") and before[-1] not in _MAY_CONTINUE
        if self._in_string or broken:
            items.append(ProtocolError("a line ended inside a JSON object"))
            self._restart(self._text[at + 1 :])
        return True

    def _complete(self, items: list[Item]) -> None:
        text, rest = self._text[: self._position], self._text[self._position :]
        self._restart(rest)
        try:
            items.append(loads_object(text, self._limits))
        except ProtocolError as error:
            items.append(error)

    def _restart(self, text: str) -> None:
        self._text = text
        self._position = self._depth = 0
        self._in_string = False
