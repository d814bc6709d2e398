"""The one error that reading may raise."""


class ReadError(Exception):
    """Something cannot be read; the message says what was expected, what is there and what to do."""
