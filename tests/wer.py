"""Word errors, as tests count them."""

from caller.wer import normalized_words, wer, word_errors

__all__ = ["normalized_words", "wer", "word_errors"]
