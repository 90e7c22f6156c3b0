# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are joined into one script: in which order, in which forms, and what Node makes of it."""

import subprocess

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.modules import ModuleError, join

FILES = {
    "main.js": """\
/* A comment
   of two lines. */
import { shout } from './lib/text.js'
import {
  two,
} from './parts/two.js'

// It starts.
export async function start(given) {
  console.log(shout('a // b'), two, Object.keys(given).join(), given.one.render(), await 5)
}
""",
    "lib/text.js": """\
let count = 0
export const shout = (text) => {
  count++
  return text.toUpperCase() + count
}
export class Loud {}
""",
    "parts/one.js": "import { shout } from '../lib/text.js'\nexport function render() {\n  return shout('one')\n}\n",
    "parts/two.js": "import { shout } from '../lib/text.js'\nexport const two = shout('two')\nexport const render = null\n",
}
PARTS = {"one": "parts/one.js", "two-2": "parts/two.js"}


def joined(**changes):
    return join({**FILES, **changes}.__getitem__, "main.js", PARTS)


def test_modules_run_once_after_those_that_they_import():
    script = joined()
    done = subprocess.run(["node", "--eval", script], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "A // B2 TWO1 one,two-2 ONE3 5\n"
    assert script.count('m["lib/text.js"] = ') == 1
    assert "two lines" not in script and "It starts" not in script


@pytest.mark.parametrize(
    "form",
    [
        "export default 5",
        "export let count = 0",
        "export { shout }",
        "export const { a, b } = {}",
        "export * from './lib/text.js'",
        "import * as text from './lib/text.js'",
        "import text from './lib/text.js'",
        "import { shout as cry } from './lib/text.js'",
        "import './lib/text.js'",
        "import { shout } from 'text'",
        "  export const a = 1",
        "const text = await import('./lib/text.js')",
    ],
)
def test_any_other_form_is_refused(form):
    with pytest.raises(ModuleError, match=r"^lib/text\.js: this form of import or export cannot be joined"):
        joined(**{"lib/text.js": f"{form}\n"})


def test_a_circle_is_named():
    with pytest.raises(ModuleError, match=r"lib/text\.js -> parts/two\.js -> lib/text\.js"):
        joined(**{"lib/text.js": "import { two } from '../parts/two.js'\nexport const shout = () => two\n"})
