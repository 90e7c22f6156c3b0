# SPDX-License-Identifier: GPL-3.0-or-later
"""What the project says to people, in their language. The English text is the key; a message file has the other one."""

from __future__ import annotations


def number(value: object) -> object:
    """Return a whole number as '10,000', anything else as it is."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


class Messages:
    """Texts of one language.

    catalog: {English text: text}; what is not in it stays English. {name} in a text stands for a value; 'one|many' is a text
    for one thing and another for any other number of them.
    """

    def __init__(self, catalog: dict[str, str] | None = None):
        self.catalog = catalog or {}

    def __call__(self, text: str, **values: object) -> str:
        """Return a text with its values, whole numbers as '10,000'. What is in the values is never a template."""
        return self.catalog.get(text, text).format(**{name: number(value) for name, value in values.items()})

    def template(self, text: str) -> str:
        """Return a text that is filled in later, by whom it belongs to, in the language. Its white space does not count."""
        return self.catalog.get(" ".join(text.split()), text)

    def many(self, count: int, one: str, many: str | None = None) -> str:
        """Return a number of things, as '1 host' or '2 hosts'."""
        text = self.catalog.get(f"{{n}} {one}", "{n} " + (one if count == 1 else many or one + "s"))
        return text.format(n=number(count))


ENGLISH = Messages()
