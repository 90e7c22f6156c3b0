# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of a policy. Only the policy's own text is a template; what hosts send are values, never templates."""

from __future__ import annotations

import functools
import re

import jinja2
import jinja2.meta
import jinja2.sandbox

from . import text

VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?]) ")
NAMES = {"evidence", "host", "system", "parameters"}


class TemplateError(ValueError):
    """A template of a policy is wrong, or does not fit a piece of evidence."""


def _environment() -> jinja2.sandbox.SandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters.update(
        bytes=text.in_bytes,
        us=text.in_us,
        duration=text.in_time,
        percent=text.in_percent,
        function=text.plain_function,
        family=text.family,
        cache=text.plain_cache,
        things=text.things,
        many=text.many,
    )
    return environment


_ENVIRONMENT = _environment()


@functools.cache
def template(source: str) -> Template:
    """Return the compiled template of a text. Raises TemplateError, as Template does."""
    return Template(source)


class Template:
    """One compiled template. Raises TemplateError for wrong syntax, unknown filters and unknown names."""

    def __init__(self, source: str):
        try:
            unknown = jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(source)) - NAMES
            self._compiled = _ENVIRONMENT.from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(str(error)) from None
        self._source = source
        if unknown:
            raise TemplateError(f"unknown name '{min(unknown)}' (known: {', '.join(sorted(NAMES))})")

    @property
    def general(self) -> str:
        """The sentences that need no value of a host. Empty where there are none, or where a part of the text is conditional."""
        if "{%" in self._source:
            return ""
        sentences = SENTENCE_END.split(" ".join(VALUE.sub("\0", self._source).split()))
        return text.visible(" ".join(sentence for sentence in sentences if "\0" not in sentence))

    def render(self, values: dict) -> str:
        """Return one line of visible text. values: {name: value} for NAMES. Raises TemplateError."""
        try:
            rendered = self._compiled.render(values)
        except Exception as error:  # a policy's expression may raise anything, as a division by zero
            raise TemplateError(text.bounded(str(error), 300)) from None
        return text.visible(" ".join(rendered.split()))
