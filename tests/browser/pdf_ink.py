# SPDX-License-Identifier: GPL-3.0-or-later
"""Where there is something on the pages of a PDF that Chromium made: just as much of the format as it writes."""

import re
import zlib
from typing import NamedTuple

OBJECT = re.compile(rb"(?<![0-9])(\d+) 0 obj\b(.*?)\bendobj", re.DOTALL)
STREAM = re.compile(rb"^(.*?/Length (\d+)\b.*?)\bstream\r?\n", re.DOTALL)
TOKEN = re.compile(rb"\((?:\\.|[^\\()])*\)|<[0-9A-Fa-f\s]*>|\[|\]|/[^\s/<>\[\]()]*|[^\s/<>\[\]()]+")
NUMBER = re.compile(rb"[-+]?[0-9]*\.?[0-9]+")
UNIT = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


class Ink(NamedTuple):
    """The box of texts (where each begins) and pictures of a page, and the size of the page, in points from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float
    width: float
    height: float


def _times(one, other):
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _at(matrix, x, y):
    return x * matrix[0] + y * matrix[2] + matrix[4], x * matrix[1] + y * matrix[3] + matrix[5]


def _objects(raw):
    """Return {number: (dictionary, content of its stream or b'')}."""
    found = {}
    for number, body in OBJECT.findall(raw):
        match = STREAM.match(body)
        # What ends a line may also be the last byte of the content: its length decides.
        head, content = (match[1], body[match.end() : match.end() + int(match[2])]) if match else (body, b"")
        picture = re.search(rb"/Subtype\s*/Image\b", head)
        found[int(number)] = (head, zlib.decompress(content) if b"/FlateDecode" in head and not picture else content)
    return found


def _references(head, key):
    match = re.search(rb"/" + key + rb"\s*(\[[^\]]*\]|\d+ 0 R)", head)
    return [int(number) for number in re.findall(rb"(\d+) 0 R", match[1])] if match else []


def _pages(objects, number):
    head = objects[number][0]
    if re.search(rb"/Type\s*/Pages\b", head):
        return [page for kid in _references(head, b"Kids") for page in _pages(objects, kid)]
    return [number]


def _named(objects, head):
    """Return {name: number} of the pictures and forms that a page or form uses."""
    match = re.search(rb"/XObject\s*<<(.*?)>>", head, re.DOTALL)
    if not match:
        resources = _references(head, b"Resources")
        return _named(objects, objects[resources[0]][0]) if resources else {}
    return {name: int(number) for name, number in re.findall(rb"/(\S+)\s+(\d+) 0 R", match[1])}


def _points(objects, head, content, outer):
    """Yield where texts begin, and corners of pictures."""
    matrix, text, saved, operands = outer, UNIT, [], []
    named = _named(objects, head)
    for token in TOKEN.findall(content):
        if NUMBER.fullmatch(token):
            operands.append(float(token))
            continue
        if token.startswith((b"/", b"(", b"<", b"[", b"]")):
            operands.append(token)
            continue
        if token == b"q":
            saved.append(matrix)
        elif token == b"Q":
            matrix = saved.pop()
        elif token == b"cm":
            matrix = _times(operands[-6:], matrix)
        elif token == b"BT":
            text = UNIT
        elif token == b"Tm":
            text = tuple(operands[-6:])
        elif token == b"Td":
            text = _times((1, 0, 0, 1, *operands[-2:]), text)
        elif token in (b"Tj", b"TJ"):
            yield _at(_times(text, matrix), 0, 0)
        elif token == b"Do" and operands[-1][1:] in named:
            inner_head, inner = objects[named[operands[-1][1:]]]
            if re.search(rb"/Subtype\s*/Form\b", inner_head):
                own = re.search(rb"/Matrix\s*\[([^\]]*)\]", inner_head)
                own = tuple(float(value) for value in own[1].split()) if own else UNIT
                yield from _points(objects, inner_head, inner, _times(own, matrix))
            else:
                yield from (_at(matrix, x, y) for x in (0, 1) for y in (0, 1))
        operands = []


def pages(raw):
    """Return Ink of each page of a PDF; None for a page on which there is nothing."""
    objects = _objects(raw)
    root = next(head for head, _content in objects.values() if re.search(rb"/Type\s*/Catalog\b", head))
    found = []
    for number in _pages(objects, _references(root, b"Pages")[0]):
        head = objects[number][0]
        box = re.search(rb"/MediaBox\s*\[([^\]]*)\]", head)
        _left, _bottom, width, height = (float(value) for value in box[1].split())
        content = b"\n".join(objects[part][1] for part in _references(head, b"Contents"))
        points = list(_points(objects, head, content, UNIT))
        (x, y) = zip(*points, strict=True) if points else ((), ())
        found.append(Ink(min(x), min(y), max(x), max(y), width, height) if points else None)
    return found
