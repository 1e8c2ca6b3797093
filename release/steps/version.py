"""Versions as <https://semver.org/spec/v2.0.0.html> has them, in their order of precedence."""

import functools
import re

from .refusal import Refused

NUMBER = r"(0|[1-9]\d*)"
IDENTIFIER = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
FORM = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}(?:-({IDENTIFIER}(?:\.{IDENTIFIER})*))?")


@functools.total_ordering
class Version:
    def __init__(self, text):
        match = FORM.fullmatch(text)
        if "+" in text:
            raise Refused(f"{text} has build metadata, which the tag of an image cannot hold: leave out what follows +")
        if not match:
            raise Refused(f"{text} is not a semantic version: write one such as 1.2.3 or 1.2.3-rc.1")
        self.text = text
        self.numbers = tuple(int(match[group]) for group in (1, 2, 3))
        self.before = match[4].split(".") if match[4] else []

    @property
    def prerelease(self):
        return bool(self.before)

    def _precedence(self):
        # Numbers come before words (11.4.3), and what is no prerelease after all that are (11.3).
        identifiers = [(0, int(it), "") if it.isdigit() else (1, 0, it) for it in self.before]
        return self.numbers, not self.before, identifiers

    def __eq__(self, other):
        return self._precedence() == other._precedence()

    def __lt__(self, other):
        return self._precedence() < other._precedence()

    def __str__(self):
        return self.text
