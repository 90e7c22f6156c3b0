# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact numbers of an injector: from its file in sysfs to a dictionary."""

import re

_NUMBER = re.compile(r'-?[0-9]+')
_RENAMED = {'delays': 'count'}  # the number of all delays; the list holds the last ones
_ROWS = {'place': 'places', 'delay': 'delays'}


def parse(text):
    """Return {key: int or str, 'places': [{...}], 'delays': [{...}]} of the text of /sys/module/<name>/ground_truth.

    'key value' lines become keys ('delays', a number, becomes 'count'); a line 'place <function> key value ...' becomes
    an entry of places with the key 'place', a line 'delay <number> key value ...' an entry of delays with the key 'n'.
    Raises ValueError naming the line.
    """
    truth = {'places': [], 'delays': []}
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in _ROWS:
            if len(words) % 2:
                raise ValueError('ground_truth: a value is missing in the line %r' % line[:200])
            row = dict(zip(words[2::2], map(_value, words[3::2])))
            row['n' if words[0] == 'delay' else 'place'] = _value(words[1])
            truth[_ROWS[words[0]]].append(row)
        elif len(words) == 2:
            truth[_RENAMED.get(words[0], words[0])] = _value(words[1])
        else:
            raise ValueError('ground_truth: not "key value": %r' % line[:200])
    return truth


def _value(word):
    return int(word) if _NUMBER.fullmatch(word) else word
