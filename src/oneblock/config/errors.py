"""Errors whose message is meant for the person who gave the input."""

from __future__ import annotations

from collections.abc import Iterable


class OneblockError(Exception):
    """Bad input: the message says what was given, what is allowed, and what to do. The command exits with 2."""


def divisors(number: int, at_most: int = 64) -> list[int]:
    """What to try where a value must divide a number."""
    return [n for n in range(1, min(number, at_most) + 1) if number % n == 0]


class ConfigError(OneblockError):
    """A configuration that breaks a rule: its path, the value, the rule and the options.

    Raised while a configuration is made, so `path` starts relative to the part being built
    and grows (`at`) as the error passes the parts that contain it.
    """

    def __init__(self, path: str, value: object, rule: str, options: Iterable[object] = ()) -> None:
        self.path, self.value, self.rule, self.options = path, value, rule, tuple(options)
        super().__init__(str(self))

    def at(self, prefix: str) -> ConfigError:
        """The same error seen from one level further out."""
        path = f"{prefix}.{self.path}" if self.path else prefix
        return ConfigError(path, self.value, self.rule, self.options)

    def __str__(self) -> str:
        shown = self.value if isinstance(self.value, str) else repr(self.value)
        message = f"{self.path}={shown} {self.rule}" if self.path else f"{shown} {self.rule}"
        if self.options:
            message += "; try " + ", ".join(str(option) for option in self.options)
        return message
