# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of Rust functions as their source has them. A mangled name holds the hashes of its crates, which every build has others of.

The grammar is RFC 2603's ("v0"), which the kernel's Rust code is built with.
"""

import re

MAX_STEPS = 512  # a name can refer to itself again and again
MAX_DEPTH = 48

_NUMBER = re.compile(r'0|[1-9][0-9]{0,3}')
_BASE_62 = re.compile(r'([0-9a-zA-Z]{0,12})_')
_CONSTANT = re.compile(r'(n?)([0-9a-f]{0,64})_')
_DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
_TYPES = dict(zip('abcdefhijlmnopstuvxyz', (
    'i8 bool char f64 str f32 u8 isize usize i32 u32 i128 u128 _ i16 u16 () ... i64 u64 !').split()))
_POINTERS = {'P': '*const ', 'O': '*mut '}


class _Reader:
    """Reads a mangled name behind its _R. Every method raises ValueError, IndexError or KeyError where the name is not of the grammar."""

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.steps = 0
        self.depth = 0

    def take(self, character):
        """True where the character is next; it is read then."""
        found = self.text.startswith(character, self.at)
        self.at += found
        return found

    def match(self, pattern):
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(self.at)
        self.at = found.end()
        return found

    def base_62(self):
        digits = self.match(_BASE_62).group(1)
        number = 0
        for digit in digits:
            number = number * 62 + _DIGITS.index(digit)
        return number + 1 if digits else 0

    def again(self, read):
        """What stands at an earlier place."""
        behind = self.at - 1
        place = self.base_62()
        if place >= behind:
            raise ValueError(place)
        here, self.at = self.at, place
        found = read()
        self.at = here
        return found

    def name(self):
        """(name, number among those of its name)"""
        number = self.base_62() + 1 if self.take('s') else 0
        if self.take('u'):
            raise ValueError('not ASCII')
        length = int(self.match(_NUMBER).group())
        self.take('_')
        name = self.text[self.at:self.at + length]
        if len(name) < length:
            raise ValueError(length)
        self.at += length
        return name, number

    def enter(self):
        self.steps += 1
        self.depth += 1
        if self.steps > MAX_STEPS or self.depth > MAX_DEPTH:
            raise ValueError('too long')

    def path(self, value=True):
        """A path; value: of a function, whose generic arguments stand behind ::, not of a type."""
        self.enter()
        kind = self.text[self.at]
        self.at += 1
        if kind == 'C':
            found = self.name()[0]
        elif kind in 'MX':
            if self.take('s'):
                self.base_62()
            self.path(False)  # where the implementation stands
            found = self.type()
            found = '<%s as %s>' % (found, self.path(False)) if kind == 'X' else '<%s>' % found
        elif kind == 'Y':
            found = self.type()
            found = '<%s as %s>' % (found, self.path(False))
        elif kind == 'N':
            space = self.text[self.at]
            self.at += 1
            found = self.path(value)
            name, number = self.name()
            if space.isupper():
                space = {'C': 'closure', 'S': 'shim'}.get(space, space)
                name = '{%s%s#%d}' % (space, ':' + name if name else '', number)
            found += '::' + name
        elif kind == 'I':
            found = self.path(value)
            found += '%s<%s>' % ('::' if value else '', ', '.join(self.until_end(self.argument)))
        elif kind == 'B':
            found = self.again(lambda: self.path(value))
        else:
            raise ValueError(kind)
        self.depth -= 1
        return found

    def until_end(self, read):
        found = []
        while not self.take('E'):
            found.append(read())
        return found

    def argument(self):
        if self.take('L'):
            self.base_62()
            return "'_"
        return self.constant() if self.take('K') else self.type()

    def constant(self):
        if self.take('p'):
            return '_'
        if self.take('B'):
            return self.again(self.constant)
        kind = self.text[self.at]
        if kind not in _TYPES:
            raise ValueError(kind)
        self.at += 1
        negative, digits = self.match(_CONSTANT).groups()
        number = int(digits or '0', 16)
        return ('false', 'true')[number] if kind == 'b' else '%s%d' % ('-' if negative else '', number)

    def type(self):
        self.enter()
        kind = self.text[self.at]
        self.at += 1
        if kind in _TYPES:
            found = _TYPES[kind]
        elif kind == 'A':
            found = self.type()
            found = '[%s; %s]' % (found, self.constant())
        elif kind == 'S':
            found = '[%s]' % self.type()
        elif kind == 'T':
            parts = self.until_end(self.type)
            found = '(%s%s)' % (', '.join(parts), ',' if len(parts) == 1 else '')
        elif kind in 'RQ':
            if self.take('L'):
                self.base_62()
            found = '&%s%s' % ('mut ' if kind == 'Q' else '', self.type())
        elif kind in _POINTERS:
            found = _POINTERS[kind] + self.type()
        elif kind == 'F':
            found = self.function()
        elif kind == 'D':
            if self.take('G'):
                self.base_62()
            found = 'dyn ' + ' + '.join(self.until_end(self.bound))
            self.take('L')
            self.base_62()
        elif kind == 'B':
            found = self.again(self.type)
        else:
            self.at -= 1
            found = self.path(False)
        self.depth -= 1
        return found

    def function(self):
        if self.take('G'):
            self.base_62()
        unsafe = 'unsafe ' if self.take('U') else ''
        if self.take('K'):
            unsafe += 'extern "%s" ' % ('C' if self.take('C') else self.name()[0])
        parameters = ', '.join(self.until_end(self.type))
        result = self.type()
        return '%sfn(%s)%s' % (unsafe, parameters, '' if result == '()' else ' -> ' + result)

    def bound(self):
        found = self.path(False)
        while self.take('p'):
            name = self.name()[0]
            found = '%s%s = %s>' % (found[:-1] + ', ' if found[-1] == '>' else found + '<', name, self.type())
        return found


def demangle(name):
    """Return the name of a Rust function as its source has it, without hashes; any other name as it is.

    '_RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt' gives 'core::panicking::panic_fmt'. Never raises.
    """
    if not name.startswith('_R') or len(name) < 4:
        return name
    try:
        return _Reader(name[2:]).path()
    except (ValueError, IndexError, KeyError):
        return name
