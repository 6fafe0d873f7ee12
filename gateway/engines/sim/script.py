"""The script of the sim engines: what is "heard", when each word ends, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.config import SimConfig
from gateway.engines.plausibility import bare_words
from gateway.errors import ConfigError, ProtocolError
from gateway.wire.strict_json import JsonObject, JsonValue, dumps, loads_object

_MAX_SCRIPT_BYTES = 1024 * 1024
_MAX_SCRIPT_DEPTH = 8
_DEFAULT_UTTERANCE = "what is the status of my order"
_DEFAULT_REPLY = "Sure, let me check that for you. Your order was shipped and arrives on Monday."

Cursor: TypeAlias = Literal["connection", "gateway"]


@dataclass(frozen=True, kw_only=True)
class ScriptedWord:
    """A word, and when its sound ends, in ms after the onset of speech."""

    text: str
    end_ms: float


@dataclass(frozen=True, kw_only=True)
class ScriptedReply:
    """What the model answers: a text, or a call of a tool (`arguments` is JSON text)."""

    text: str = ""
    tool: str | None = None
    arguments: str = "{}"


@dataclass(frozen=True, kw_only=True)
class ScriptedUtterance:
    """One utterance, with the answer to it."""

    words: tuple[ScriptedWord, ...]
    reply: ScriptedReply | None = None

    def text_at(self, elapsed_ms: float) -> str:
        """Return the words that had ended this long after the onset."""
        return " ".join(word.text for word in self.words if word.end_ms <= elapsed_ms)

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, kw_only=True)
class SimScript:
    """Utterances in the order they are heard; they begin anew after the last one."""

    utterances: tuple[ScriptedUtterance, ...]
    reply: ScriptedReply
    """Answer to anything that no utterance of the script has an answer to."""
    cursor: Cursor = "connection"
    """Whether each socket hears the script from its start, or all share one place in it. With the
    shared one, a client that reconnects in mid-utterance hears that utterance again."""

    def reply_to(self, heard: str) -> ScriptedReply:
        """Return the answer to what the user said last."""
        words = bare_words(heard)
        for utterance in self.utterances:
            if utterance.reply is not None and bare_words(utterance.text) == words:
                return utterance.reply
        return self.reply

    @classmethod
    def load(cls, config: SimConfig) -> SimScript:
        """Read the script that the settings name, or make the default one.

        Raises:
            ConfigError: if the file cannot be read or is not a script.
        """
        if config.script is None:
            return cls(
                utterances=(_utterance({"text": _DEFAULT_UTTERANCE}, word_ms=config.word_ms),),
                reply=ScriptedReply(text=_DEFAULT_REPLY),
            )
        try:
            body = loads_object(
                config.script.read_bytes(), max_bytes=_MAX_SCRIPT_BYTES, max_depth=_MAX_SCRIPT_DEPTH
            )
            return _script(body, word_ms=config.word_ms)
        except (OSError, ProtocolError) as error:
            raise ConfigError(f"the sim script {config.script.name!r}: {error}") from None


def _number(value: JsonValue, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ProtocolError(f"'{name}' must be a number greater than zero")
    return float(value)


def _words(item: JsonObject, *, word_ms: float) -> tuple[ScriptedWord, ...]:
    text, words = item.get("text"), item.get("words")
    if isinstance(text, str) and text.split() and words is None:
        return tuple(
            ScriptedWord(text=word, end_ms=(index + 1) * word_ms)
            for index, word in enumerate(text.split())
        )
    if not isinstance(words, list) or text is not None:
        raise ProtocolError("each utterance needs either a 'text' or a list of 'words'")
    result = []
    for word in words:
        if not isinstance(word, dict) or not isinstance(said := word.get("word"), str):
            raise ProtocolError("each of 'words' needs a 'word' and an 'end_ms'")
        result.append(ScriptedWord(text=said, end_ms=_number(word.get("end_ms"), "end_ms")))
    return tuple(result)


def _reply(value: JsonValue) -> ScriptedReply:
    if isinstance(value, str):
        return ScriptedReply(text=value)
    if isinstance(value, dict) and isinstance(tool := value.get("tool"), str):
        return ScriptedReply(tool=tool, arguments=dumps(value.get("arguments", {})))
    raise ProtocolError("a 'reply' is a text, or an object with 'tool' and 'arguments'")


def _utterance(item: JsonValue, *, word_ms: float) -> ScriptedUtterance:
    if not isinstance(item, dict):
        raise ProtocolError("each utterance must be an object")
    if "word_ms" in item:
        word_ms = _number(item["word_ms"], "word_ms")
    reply = item.get("reply")
    return ScriptedUtterance(
        words=_words(item, word_ms=word_ms), reply=None if reply is None else _reply(reply)
    )


def _script(body: JsonObject, *, word_ms: float) -> SimScript:
    items = body.get("utterances")
    if not isinstance(items, list) or not items:
        raise ProtocolError("'utterances' must be a list with at least one utterance")
    cursor = body.get("cursor", "connection")
    if cursor not in ("connection", "gateway"):
        raise ProtocolError('\'cursor\' must be "connection" or "gateway"')
    if "word_ms" in body:
        word_ms = _number(body["word_ms"], "word_ms")
    return SimScript(
        utterances=tuple(_utterance(item, word_ms=word_ms) for item in items),
        reply=_reply(body.get("reply", _DEFAULT_REPLY)),
        cursor="gateway" if cursor == "gateway" else "connection",
    )
