"""Text that comes in small pieces, given out in whole sentences."""

from __future__ import annotations

import re

from gateway.errors import ProtocolError

_END = re.compile(r"[.!?…][\"')\]”’]*\s")


class Sentences:
    """Collects text until a sentence is complete.

    Args:
        max_chars: longest text that waits for its end.
    """

    def __init__(self, *, max_chars: int) -> None:
        self._max_chars = max_chars
        self._text = ""

    def push(self, text: str) -> list[str]:
        """Add text; return the sentences that are complete.

        Raises:
            ProtocolError: if too much text has come without an end.
        """
        self._text += text
        sentences = []
        start = 0
        for match in _END.finditer(self._text):
            sentences.append(self._text[start : match.end()].strip())
            start = match.end()
        self._text = self._text[start:]
        if len(self._text) > self._max_chars:
            raise ProtocolError(f"the text is longer than {self._max_chars} characters")
        return sentences

    def flush(self) -> list[str]:
        """Return what is left, complete or not."""
        text, self._text = self._text.strip(), ""
        return [text] if text else []
