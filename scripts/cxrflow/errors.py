"""The error a user can act on: what was expected, what was found, where, and a hint."""


class UserError(Exception):
    """A mistake in the input or the configuration, told without a stack trace."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}\nHint: {hint}")
