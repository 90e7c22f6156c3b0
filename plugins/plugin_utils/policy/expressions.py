# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath with parameters and a few functions that it lacks."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from . import shapes

_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|\$([A-Za-z_][A-Za-z0-9_]*)?""", re.DOTALL)


class ExpressionError(ValueError):
    """An expression cannot be compiled, or cannot be evaluated on a document. offset: where in its text, or None."""

    def __init__(self, what: str, offset: int | None = None):
        super().__init__(what if offset is None else f"column {offset + 1}: {what}")
        self.offset = offset


# jmespath is imported where it is used, because ansible-test imports every plugin without third-party libraries.
@functools.cache
def _functions() -> Any:
    from jmespath import functions

    class Functions(functions.Functions):
        @functions.signature({"types": ["number"]}, {"types": ["number"]})
        def _func_multiply(self, left: float, right: float) -> float:
            return left * right

        @functions.signature({"types": ["number", "null"]}, {"types": ["number", "null"]})
        def _func_divide(self, left: float | None, right: float | None) -> float | None:
            """null when there is nothing to divide, or by"""
            return left / right if left is not None and right else None

        @functions.signature({"types": ["array", "null"]}, {"types": ["object", "null"]})
        def _func_with_fields(self, items: list | None, fields: dict | None) -> list | None:
            """each object of the list, with these fields beside its own"""
            return None if items is None else [{**(fields or {}), **item} for item in items if isinstance(item, dict)]

        @functions.signature({"types": ["object", "null"]})
        def _func_entries(self, members: dict | None) -> list | None:
            """[{name, value}] of an object"""
            return None if members is None else [{"name": name, "value": value} for name, value in members.items()]

    return Functions()


@functools.cache
def _interpreter() -> Any:
    """One for all expressions: it remembers how each kind of step is evaluated, and nothing of what was."""
    import jmespath.visitor

    class Interpreter(jmespath.visitor.TreeInterpreter):
        """Finds the method of a step without collecting its arguments: a host has more than a thousand steps."""

        def __init__(self) -> None:
            super().__init__(jmespath.Options(custom_functions=_functions()))
            self._methods = {name.removeprefix("visit_"): getattr(self, name) for name in dir(self) if name.startswith("visit_")}

        def visit(self, node: Any, value: Any) -> Any:
            return self._methods[node["type"]](node, value)

    return Interpreter()


@functools.cache
def _errors() -> tuple[type[Exception], ...]:
    import jmespath.exceptions

    return (jmespath.exceptions.JMESPathError, ArithmeticError, RecursionError)


def _substitute(text: str, parameters: dict) -> str:
    def literal(match: re.Match[str]) -> str:
        if not match[0].startswith("$"):
            return match[0]
        if match[1] not in parameters:
            known = ", ".join(f"${name}" for name in sorted(parameters)) or "none"
            raise ExpressionError(f"unknown parameter '{match[0]}' (the rule has: {known})", match.start())
        return "`" + json.dumps(parameters[match[1]]).replace("`", "\\u0060") + "`"

    return _TOKEN.sub(literal, text)


def _check_syntax(text: str) -> None:
    """Compile with something of the same length for each parameter, so that columns are those of the policy."""
    import jmespath

    try:
        jmespath.compile(_TOKEN.sub(lambda match: "@".ljust(len(match[0])) if match[0].startswith("$") else match[0], text))
    except (jmespath.exceptions.ParseError, jmespath.exceptions.LexerError) as error:
        if isinstance(error, jmespath.exceptions.IncompleteExpressionError):
            raise ExpressionError("the expression ends too early", len(text)) from None
        raise ExpressionError(f"syntax error at '{error.token_value}'", error.lex_position) from None


def _word(text: str, word: str) -> int | None:
    """Return where a name stands in an expression, for an error about it."""
    found = re.search(rf"(?<![\w$]){re.escape(word)}(?!\w)", text)
    return found.start() if found else None


def _check_functions(node: object, text: str) -> None:
    """JMESPath itself notices an unknown function, or one argument too many, only when data reach it."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "function_expression":
        known = _functions().FUNCTION_TABLE.get(node["value"])
        if known is None:
            raise ExpressionError(f"unknown function '{node['value']}()'", _word(text, node["value"]))
        expected, given = known["signature"], len(node["children"])
        variadic = bool(expected) and expected[-1].get("variadic")
        if given < len(expected) or (given > len(expected) and not variadic):
            raise ExpressionError(f"'{node['value']}()' takes {len(expected)} arguments, not {given}", _word(text, node["value"]))
    for child in node.get("children", []):
        _check_functions(child, text)


class Expression:
    """One compiled expression.

    text: JMESPath in which $name stands for a parameter; parameters: {name: JSON value}.
    Raises ExpressionError, which says what is wrong and, where it can, in which column.
    """

    def __init__(self, text: str, parameters: dict):
        import jmespath

        substituted = _substitute(text, parameters)
        _check_syntax(text)
        try:
            self._compiled: Any = jmespath.compile(substituted)
        except jmespath.exceptions.JMESPathError as error:
            raise ExpressionError(_reason(error)) from None
        _check_functions(self._compiled.parsed, text)
        self._visit = _interpreter().visit
        self._text = text

    def check_fits_hosts(self) -> None:
        """Raise ExpressionError if no host document can ever have what the expression asks for."""
        try:
            shapes.check(self._compiled.parsed)
        except shapes.NeverMatches as error:
            raise ExpressionError(f"can never match: {error}", _word(self._text, error.word)) from None

    @property
    def probes(self) -> set[str]:
        """Names of the probes that it reads, in one scan or several."""
        return shapes.probes_of(self._compiled.parsed) | self.trends

    @property
    def trends(self) -> set[str]:
        """Names of the probes of which it reads what several scans say."""
        return shapes.probes_of(self._compiled.parsed, "trend")

    @property
    def joins(self) -> set[str]:
        """Names of the joins that it reads."""
        return shapes.joins_of(self._compiled.parsed)

    def search(self, document: dict) -> Any:
        """Return what the expression yields. Raises ExpressionError."""
        try:
            return self._visit(self._compiled.parsed, document)
        except _errors() as error:
            raise ExpressionError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
