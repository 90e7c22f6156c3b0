# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath with parameters and a few functions that it lacks."""

from __future__ import annotations

import functools
import json
import re

_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|\$([A-Za-z_][A-Za-z0-9_]*)?""", re.DOTALL)


class ExpressionError(ValueError):
    """An expression cannot be compiled, or cannot be evaluated on a document."""


# jmespath is imported where it is used, because ansible-test imports every plugin without third-party libraries.
@functools.cache
def _functions():
    from jmespath import functions

    class Functions(functions.Functions):
        @functions.signature({"types": ["number"]}, {"types": ["number"]})
        def _func_multiply(self, left, right):
            return left * right

        @functions.signature({"types": ["number", "null"]}, {"types": ["number", "null"]})
        def _func_divide(self, left, right):
            """null when there is nothing to divide, or by"""
            return left / right if left is not None and right else None

        @functions.signature({"types": ["array", "null"]}, {"types": ["object", "null"]})
        def _func_with_fields(self, items, fields):
            """each object of the list, with these fields beside its own"""
            return None if items is None else [{**(fields or {}), **item} for item in items if isinstance(item, dict)]

        @functions.signature({"types": ["object", "null"]})
        def _func_entries(self, members):
            """[{name, value}] of an object"""
            return None if members is None else [{"name": name, "value": value} for name, value in members.items()]

    return Functions()


def _substitute(text: str, parameters: dict) -> str:
    def literal(match: re.Match[str]) -> str:
        if not match[0].startswith("$"):
            return match[0]
        if match[1] not in parameters:
            known = ", ".join(f"${name}" for name in sorted(parameters)) or "none"
            raise ExpressionError(f"column {match.start() + 1}: unknown parameter '{match[0]}' (the rule has: {known})")
        return "`" + json.dumps(parameters[match[1]]).replace("`", "\\u0060") + "`"

    return _TOKEN.sub(literal, text)


def _check_syntax(text: str) -> None:
    """Compile with something of the same length for each parameter, so that columns are those of the policy."""
    import jmespath

    try:
        jmespath.compile(_TOKEN.sub(lambda match: "@".ljust(len(match[0])) if match[0].startswith("$") else match[0], text))
    except (jmespath.exceptions.ParseError, jmespath.exceptions.LexerError) as error:
        if isinstance(error, jmespath.exceptions.IncompleteExpressionError):
            raise ExpressionError(f"column {len(text) + 1}: the expression ends too early") from None
        raise ExpressionError(f"column {error.lex_position + 1}: syntax error at '{error.token_value}'") from None


def _check_functions(node) -> None:
    """JMESPath itself notices an unknown function, or one argument too many, only when data reach it."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "function_expression":
        known = _functions().FUNCTION_TABLE.get(node["value"])
        if known is None:
            raise ExpressionError(f"unknown function '{node['value']}()'")
        expected, given = known["signature"], len(node["children"])
        variadic = bool(expected) and expected[-1].get("variadic")
        if given < len(expected) or (given > len(expected) and not variadic):
            raise ExpressionError(f"'{node['value']}()' takes {len(expected)} arguments, not {given}")
    for child in node.get("children", []):
        _check_functions(child)


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
            self._compiled = jmespath.compile(substituted)
        except jmespath.exceptions.JMESPathError as error:
            raise ExpressionError(_reason(error)) from None
        _check_functions(self._compiled.parsed)

    def search(self, document: dict):
        """Return what the expression yields. Raises ExpressionError."""
        import jmespath

        try:
            return self._compiled.search(document, options=jmespath.Options(custom_functions=_functions()))
        except (jmespath.exceptions.JMESPathError, ArithmeticError, RecursionError) as error:
            raise ExpressionError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
