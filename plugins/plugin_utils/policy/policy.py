# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: rules that turn a host document into findings."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

import yaml

from ..schema.validate import SchemaError, validate
from .expressions import Expression, ExpressionError
from .templates import Template, TemplateError, template
from .text import bounded, plain_function

SEVERITIES = ("fatal", "critical", "error", "warning", "info")
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEFAULT = Path(__file__).parent / "default.yml"
KINDS = {int: ((int, float), "a number"), float: ((int, float), "a number"), str: (str, "text"), list: (list, "a list of texts")}
POLICY_BYTES = 1024 * 1024
FINDINGS_A_RULE = 100
TITLE_CHARS = 512
REMEDY_CHARS = 4096
SIGNATURE_CHARS = 512


class PolicyError(ValueError):
    """A policy, or an override of one, is wrong. The text names the file (or option), the rule and what is wrong."""


class Rule:
    """One rule, ready to be evaluated.

    spec: a rule as in a policy file; overrides: {parameter: value, 'enabled': bool}; origin: the file, for errors.
    """

    def __init__(self, spec: dict, overrides: dict, origin: str):
        self.id = spec["id"]
        self.origin = origin
        self.enabled = overrides.get("enabled", True)
        self.parameters = _parameters(spec, overrides)
        self._weight = spec.get("weight")
        try:
            self._expression = Expression(spec["evidence"], self.parameters)
        except ExpressionError as error:
            raise PolicyError(f"{origin}: rule '{self.id}': evidence: {error}") from None
        self._signature = self._template(spec["signature"], "signature")
        case = spec.get("case", {"field": "", "of": {}})
        self._field = case["field"]
        self._base = self._outcome(spec, {})
        self._cases = {value: self._outcome(spec, changed, f"case.of.{value}.") for value, changed in case["of"].items()}

    def _template(self, source: str, where: str) -> Template:
        try:
            return template(source)
        except TemplateError as error:
            raise PolicyError(f"{self.origin}: rule '{self.id}': {where}: {error}") from None

    def _outcome(self, spec: dict, changed: dict, where: str = "") -> dict:
        return {
            "title": self._template(changed.get("title", spec["title"]), f"{where}title"),
            "remedy": self._template(changed.get("remedy", spec["remedy"]), f"{where}remedy"),
            "severity": changed.get("severity", spec["severity"]),
            "category": changed.get("category", spec["category"]),
            "references": changed.get("references", spec.get("references", [])),
        }

    def evidence(self, document: dict) -> list:
        """Return what the rule's expression finds in one host document. Raises ExpressionError."""
        found = self._expression.search(document)
        if not found:
            return []
        return found if isinstance(found, list) else [found]

    def finding(self, document: dict, item: object) -> dict:
        """Return the finding that one piece of evidence makes. Raises TemplateError."""
        evidence = item if isinstance(item, dict) else {"value": item}
        values = {"evidence": evidence, "host": document["host"], "system": document["system"], "parameters": self.parameters}
        outcome = self._cases.get(str(evidence.get(self._field)), self._base)
        weight = evidence.get(self._weight) if self._weight else None
        return {
            "rule": self.id,
            "severity": outcome["severity"],
            "category": outcome["category"],
            "title": bounded(outcome["title"].render(values), TITLE_CHARS),
            "host": document["host"],
            "signature": bounded(f"{self.id}|{plain_function(self._signature.render(values))}", SIGNATURE_CHARS),
            "evidence": evidence,
            "remedy": bounded(outcome["remedy"].render(values), REMEDY_CHARS),
            "references": outcome["references"],
            "weight": weight if isinstance(weight, (int, float)) else 0,
        }


def _parameters(spec: dict, overrides: dict) -> dict:
    """Return {name: value} of a rule, overridden. Raises PolicyError naming the override."""
    declared = spec.get("parameters", {})
    values = {name: entry["value"] for name, entry in declared.items()}
    for name, value in overrides.items():
        where = f"ksysak_policy_overrides: rule '{spec['id']}': '{name}'"
        if name == "enabled":
            if not isinstance(value, bool):
                raise PolicyError(f"{where}: true or false is expected")
            continue
        if name not in declared:
            raise PolicyError(f"{where}: no such parameter (known: {', '.join(['enabled', *sorted(declared)])})")
        kind, said = KINDS[type(values[name])]
        if isinstance(value, bool) or not isinstance(value, kind) or (kind is list and not all(isinstance(item, str) for item in value)):
            unit = declared[name]["unit"]
            raise PolicyError(f"{where}: {said}{f' ({unit})' if unit else ''} is expected")
        values[name] = value
    return values


def _read(path: Path) -> dict:
    try:
        if path.stat().st_size > POLICY_BYTES:
            raise PolicyError(f"{path}: larger than {POLICY_BYTES} bytes")
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)  # noqa: S506 - it is the safe one, in C
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise PolicyError(f"{path}: not YAML: {' '.join(str(error).split())[:300]}") from None
    try:
        if not isinstance(document, dict) or document.get("schema") != "ksysak.policy/1":
            raise SchemaError("schema", "a policy begins with 'schema: ksysak.policy/1'")
        validate(document)
    except SchemaError as error:
        raise PolicyError(f"{path}: {_named(document, error)}") from None
    return document


def _named(document: object, error: SchemaError) -> str:
    """Say rule 'x' instead of rules.3, where the rule has a name."""
    steps = error.where.split(".")
    if steps[0] == "rules" and len(steps) > 1 and steps[1].isdigit():
        rule = document["rules"][int(steps[1])]
        if isinstance(rule, dict) and isinstance(rule.get("id"), str):
            return ": ".join(filter(None, [f"rule '{rule['id'][:64]}'", ".".join(steps[2:]), error.what]))
    return str(error)


class Policy:
    """All rules of some policy files.

    rules: list of Rule, in the order of the files; origins: [{'file': name, 'rules': number}].
    """

    def __init__(self, rules: list[Rule], origins: list[dict]):
        self.rules = rules
        self.origins = origins

    def evaluate(self, document: dict) -> tuple[list[dict], list[str]]:
        """Return (findings, problems) of one valid host document.

        findings: worst first, as in the design ({id, rule, severity, category, title, host, signature, evidence,
        remedy, references}, and weight: number, the larger the worse); problems: text, one for each rule that could
        not be evaluated on this host.
        """
        findings: list[dict] = []
        problems: list[str] = []
        if document["state"] != "scanned":
            return findings, problems
        for rule in self.rules:
            if not rule.enabled:
                continue
            try:
                evidence = rule.evidence(document)
                findings += [rule.finding(document, item) for item in evidence[:FINDINGS_A_RULE]]
            except (ExpressionError, TemplateError) as error:
                problems.append(f"{rule.origin}: rule '{rule.id}' could not be evaluated: {error}")
                continue
            if len(evidence) > FINDINGS_A_RULE:
                problems.append(f"{rule.origin}: rule '{rule.id}': only the first {FINDINGS_A_RULE} of {len(evidence)} findings were kept")
        place = {rule.id: number for number, rule in enumerate(self.rules)}
        findings.sort(key=lambda f: (SEVERITIES.index(f["severity"]), place[f["rule"]], -f["weight"], f["signature"]))
        seen: collections.Counter[str] = collections.Counter()
        for finding in findings:
            seen[finding["signature"]] += 1
            key = f"{finding['host']}\0{finding['signature']}\0{seen[finding['signature']]}"
            finding["id"] = hashlib.sha256(key.encode()).hexdigest()[:16]
        return findings, problems


def load(paths: list[str] | None = None, overrides: dict | None = None) -> Policy:
    """Load policy files; the name 'default' stands for the shipped one, which is also used when there are none.

    overrides: {rule id: {parameter: value, 'enabled': bool}}. Raises PolicyError.
    """
    overrides = overrides or {}
    rules: dict[str, Rule] = {}
    origins = []
    for path in [DEFAULT if path == "default" else Path(path) for path in paths or ["default"]]:
        document = _read(path)
        for spec in document["rules"]:
            if spec["id"] in rules:
                raise PolicyError(f"{path}: rule '{spec['id']}': already defined in {rules[spec['id']].origin}")
            own = overrides.get(spec["id"]) or {}
            if not isinstance(own, dict):
                raise PolicyError(f"ksysak_policy_overrides: rule '{spec['id']}': a dictionary of parameters is expected")
            rules[spec["id"]] = Rule(spec, own, path.name)
        origins.append({"file": path.name, "rules": len(document["rules"])})
    for unknown in sorted(set(overrides) - set(rules)):
        raise PolicyError(f"ksysak_policy_overrides: no rule is called '{unknown}' (known: {', '.join(sorted(rules))})")
    return Policy(list(rules.values()), origins)
