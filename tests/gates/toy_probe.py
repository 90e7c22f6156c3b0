# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole probe, as small as one can be: how many files a host has open. test_plugin.py adds it to a copy of the collection."""

NAME = "open_files"
KEY = "files"
LINE = (
    "    from ansible_collections.ksysak.fleet.plugins.module_utils._open_files.probe import OpenFilesProbe as open_files\n"
)  # of the registry

PROBE = """\
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe


class ProcfsEngine(Engine):
    NAME = 'procfs'

    def read(self, window_s):
        with open('/proc/sys/fs/file-nr') as file:
            return {'open': int(file.read().split()[0])}


class OpenFilesProbe(Probe):
    NAME = 'open_files'
    ENGINES = (ProcfsEngine,)
"""

MODULE = '''\
#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: open_files_facts
short_description: Files that the whole host has open
version_added: 0.1.0
description:
  - Reads how many files are open.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
"""

EXAMPLES = r"""
- name: How many files are open?
  ksysak.fleet.open_files_facts:
"""

RETURN = r"""
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._open_files.probe import OpenFilesProbe


def main():
    facts_main(OpenFilesProbe)


if __name__ == '__main__':
    main()
'''

POLICY = """\
# SPDX-License-Identifier: GPL-3.0-or-later
---
schema: ksysak.policy/1
description: Open files.
rules:
  - id: open-files
    category: resource
    severity: warning
    title: "{{ evidence.open }} files are open"
    evidence: "[probes.open_files.data][?open >= $open]"
    weight: open
    signature: open
    remedy: Close some.
    parameters:
      open: {value: 1, unit: files, description: Open files from which the host has a finding}
"""

SECTION = '''\
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ..fleet.section import Section as Base


class Section(Base):
    PROBE = "open_files"
    KEY = "files"
    TITLE = "Open files"
    MEASURES = {"open_files": "open files"}

    def __init__(self, known_bugs):
        super().__init__(known_bugs)
        self._hosts: dict[str, int] = {}

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        return {"open_files": envelope["data"]["open"]}

    @staticmethod
    def summary(envelope: dict) -> dict:
        return envelope["data"]

    def finding_key(self, evidence: dict) -> str:
        return "open"

    def add(self, host: str, envelope: dict) -> None:
        self._hosts[host] = envelope["data"]["open"]

    def result(self, groups: list[dict]) -> dict:
        found = self.by_key(groups).get("open")
        return {"hosts": len(self._hosts), "most": max(self._hosts.values(), default=0), "finding": found["id"] if found else None}
'''

SCRIPT = """\
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many files are open. */
import { lead } from '../lib/dom.js'

export function render(files, place) {
  place.append(lead(`toy section: ${files.most} open files`))
}
"""

SECTION_SCHEMA = """\
{
  "title": "Open files of a fleet",
  "type": "object",
  "additionalProperties": false,
  "required": ["hosts", "most", "finding"],
  "properties": {
    "hosts": {"type": "integer", "minimum": 0},
    "most": {"type": "integer", "minimum": 0},
    "finding": {"type": ["string", "null"], "maxLength": 12}
  },
  "definitions": {
    "host": {
      "type": "object",
      "additionalProperties": false,
      "required": ["open"],
      "properties": {"open": {"type": "integer", "minimum": 0}}
    }
  }
}
"""

SCHEMA = """\
{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "Data of the probe open_files",
  "type": "object",
  "additionalProperties": false,
  "required": ["open"],
  "properties": {"open": {"description": "open files of the host", "type": "integer", "minimum": 0}}
}
"""

PAGE = """\
# open_files: files that the whole host has open

    ansible web1 -b -m ksysak.fleet.open_files_facts
"""

CHINESE = """\
{
  "language": "zh-Hans",
  "messages": {"Open files": "打开的文件"},
  "policies": {"{{ evidence.open }} files are open": "打开了 {{ evidence.open }} 个文件"}
}
"""

# {path: text} of all that the probe consists of.
FILES = {
    "plugins/module_utils/_open_files/__init__.py": "",
    "plugins/module_utils/_open_files/probe.py": PROBE,
    "plugins/modules/open_files_facts.py": MODULE,
    "plugins/plugin_utils/policy/default/open_files.yml": POLICY,
    "plugins/plugin_utils/sections/open_files.py": SECTION,
    "plugins/plugin_utils/schema/open_files-1.json": SCHEMA,
    "plugins/plugin_utils/schema/sections/files.json": SECTION_SCHEMA,
    "roles/report/files/sections/files.js": SCRIPT,
    "roles/report/files/messages/zh/open_files.json": CHINESE,
    "docs/open_files.md": PAGE,
}
