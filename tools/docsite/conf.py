# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx builds the site: see build."""

from typing import Any

from docutils import nodes

project = "ksysak.fleet"
project_copyright = "ksysak.fleet maintainers"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
include_patterns = ["index.rst", "*.md", "docs/*.md", "roles/*/README.md", "reference/**.rst"]
myst_heading_anchors = 4
highlight_language = "text"
html_show_sourcelink = False

# Sections of Ansible's documentation that every reference names. Its list of all sections would need the network.
ANSIBLE = "https://docs.ansible.com/projects/ansible-core/devel/"
SECTIONS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "filter_plugins": "plugins/filter.html",
}


def _link(_app: Any, _env: Any, node: nodes.Element, shown: nodes.Node) -> nodes.reference | None:
    page = SECTIONS.get(node["reftarget"])
    return nodes.reference("", "", shown, refuri=ANSIBLE + page, internal=False) if page else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", _link)
