# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: rules that turn a host document into findings."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...module_utils._core.registry import NAMES
from ...module_utils._core.version import VERSION
from ..joins.joins import JOINS, joined
from ..messages import ENGLISH, Messages
from ..schema.validate import SchemaError, validate
from .expressions import Expression, ExpressionError
from .source import Source, SourceError, shipped
from .tables import TABLES
from .templates import Template, TemplateError, template
from .text import bounded, plain_function, seconds_of
from .waivers import Waiver, fits

SEVERITIES = ("fatal", "critical", "error", "warning", "info")
KINDS: dict[type, tuple[Any, str]] = {
    int: ((int, float), "a number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    list: (list, "a list of texts"),
}
OPTION = "ksysak_policy_overrides"
Place = Callable[..., str]  # where in a file an override, or a part of it, stands
SCOPES = ("groups", "hosts")
RESERVED = ("enabled", "severity", *SCOPES)
POLICY_BYTES = 1024 * 1024
FINDINGS_A_RULE = 100
TITLE_CHARS = 512
REMEDY_CHARS = 4096
CHECK_CHARS = 256  # of them kept for the first check
SIGNATURE_CHARS = 512
GENERAL_CHARS = 1024  # of a remedy without values of a host
CASES = 128
CHANGES_A_RULE = 64


INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def _number(value: object) -> float:
    """Return a number that evidence or a parameter has, 0 for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _instant(value: object) -> str | None:
    """Return an instant that evidence has, None for anything else."""
    return value if isinstance(value, str) and INSTANT.fullmatch(value) and seconds_of(value) is not None else None


class PolicyError(ValueError):
    """A policy, or an override of one, is wrong. The text names the file with line and column (or the option), the rule and why."""


class Rule:
    """One rule with its parameters, ready to be evaluated.

    spec: a rule as in a policy file; changes: {parameter: value, 'enabled': bool, 'severity': text}, checked;
    source, number: where it stands, for errors; translate: language of titles and remedies.
    """

    def __init__(self, spec: dict, changes: dict, source: Source, number: int, translate: Messages = ENGLISH):
        self.id = spec["id"]
        self._source, self._translate = source, translate
        self._steps = ["rules", number]
        self.origin = source.name
        self.category = spec["category"]
        self.enabled = changes.get("enabled", True)
        self.name = translate.template(spec.get("name", spec["id"].replace("-", " ").capitalize()))
        self.rationale = translate.template(spec.get("rationale", ""))
        self.part_of: dict[str, list[str]] = spec.get("part_of", {})
        declared = spec.get("parameters", {})
        self.parameters = {name: changes.get(name, entry["value"]) for name, entry in declared.items()}
        self.beneath = spec.get("beneath")
        self._weight, self._last_seen, self._first_seen = spec.get("weight"), spec.get("last_seen"), spec.get("first_seen")
        self._threshold = self.parameters.get(spec.get("threshold", self._weight or ""))
        self._expression = self._compiled(spec, "evidence")
        self._known = self._compiled(spec, "needs") if "needs" in spec else None
        self.on_request = spec.get("on_request", False)
        self._needs, self.joins, self._trends = self._expression.probes, self._expression.joins, self._expression.trends
        self.probes = self._needs.union(*(JOINS[name].probes for name in self.joins))
        self._is_measured: dict[tuple[frozenset[str], frozenset[str]], bool] = {}  # most hosts measured the same
        self._signature = self._template(spec["signature"], ["signature"])
        case = spec.get("case", {"field": "", "of": {}})
        self._field = case["field"]
        self._base = self._outcome(spec, {}, changes)
        self._cases = {value: self._outcome(spec, changed, changes, ["case", "of", value]) for value, changed in case["of"].items()}
        self.severity = min((one["severity"] for one in (self._base, *self._cases.values())), key=SEVERITIES.index)  # of the worst case

    @property
    def remedies(self) -> list[dict]:
        """What helps wherever the rule finds something: {case, text}, the case empty for the rule itself; equal texts stand once."""
        texts: dict[str, str] = {}
        for case, outcome in (("", self._base), *self._cases.items()):
            if text := outcome["remedy"].general:
                texts.setdefault(bounded(text, GENERAL_CHARS), case)
        return [{"case": case, "text": text} for text, case in texts.items()][:CASES]

    def equals(self, other: Rule) -> bool:
        """Does it find the same as the same rule with other changes?"""
        mine, theirs = (
            (rule.enabled, rule.parameters, [one["severity"] for one in (rule._base, *rule._cases.values())]) for rule in (self, other)
        )
        return mine == theirs

    def _template(self, source: str, where: list[str]) -> Template:
        try:
            return template(source)
        except TemplateError as error:
            place = self._source.place([*self._steps, *where])
            raise PolicyError(f"{place}: rule '{self.id}': {'.'.join(where)}: {error}") from None

    def _outcome(self, spec: dict, changed: dict, changes: dict, where: list[str] | None = None) -> dict:
        def own(field: str) -> list[str]:
            return [*(where or []), field] if field in changed else [field]

        return {
            "title": self._template(self._translate.template(changed.get("title", spec["title"])), own("title")),
            "remedy": self._template(self._translate.template(changed.get("remedy", spec["remedy"])), own("remedy")),
            "first_check": self._template(changed.get("first_check", spec.get("first_check", "")), own("first_check")),
            "severity": changes.get("severity", changed.get("severity", spec["severity"])),
            "category": changed.get("category", spec["category"]),
            "references": changed.get("references", spec.get("references", [])),
        }

    def _compiled(self, spec: dict, field: str) -> Expression:
        try:
            expression = Expression(spec[field], self.parameters)
            expression.check_fits_hosts()
        except ExpressionError as error:
            place = self._source.place([*self._steps, field], error.offset or 0)
            raise PolicyError(f"{place}: rule '{self.id}': {field}: {error}") from None
        return expression

    def is_known(self, document: dict) -> bool:
        """Did its probes measure on this host what the rule needs? Raises ExpressionError."""
        return self._known is None or bool(self._known.search(document))

    def is_measured(self, measured: frozenset[str], compared: frozenset[str]) -> bool:
        """Were the probes that the rule reads measured, of each join one at least, and, where it reads a trend, compared?"""
        known = self._is_measured.get((measured, compared))
        if known is None:
            joins = all(measured.intersection(JOINS[name].probes) for name in self.joins)
            known = self._is_measured[measured, compared] = joins and self._needs <= measured and self._trends <= compared
        return known

    def evidence(self, document: dict) -> list:
        """Return what the rule's expression finds in one host document, with its joins. Raises ExpressionError."""
        found = self._expression.search(document)
        if not found:
            return []
        return found if isinstance(found, list) else [found]

    def finding(self, document: dict, item: object) -> dict:
        """Return the finding that one piece of evidence makes. Raises TemplateError."""
        evidence = item if isinstance(item, dict) else {"value": item}
        values = {"evidence": evidence, "host": document["host"], "system": document["system"], "parameters": self.parameters}
        outcome = self._cases.get(str(evidence.get(self._field)), self._base)
        weight = _number(evidence.get(self._weight)) if self._weight else 0
        remedy, check = outcome["remedy"].render(values), bounded(outcome["first_check"].render(values), CHECK_CHARS // 2)
        if check:
            remedy = f"{bounded(remedy, REMEDY_CHARS - CHECK_CHARS)} {self._translate('First check: {command}', command=check)}"
        signature = bounded(f"{self.id}|{plain_function(self._signature.render(values))}", SIGNATURE_CHARS)
        return {
            "rule": self.id,
            "probes": [name for name in NAMES if name in self.probes],
            "severity": outcome["severity"],
            "category": outcome["category"],
            "title": bounded(outcome["title"].render(values).strip() or f"{self.name} ({signature})", TITLE_CHARS),
            "host": document["host"],
            "signature": signature,
            "evidence": evidence,
            "remedy": bounded(remedy, REMEDY_CHARS),
            "references": outcome["references"],
            "weight": weight,
            "bytes_per_s": weight if str(self._weight).endswith("bytes_per_s") else 0,
            "excess": self._excess(weight),
            "last_seen": self._seen(evidence, document),
            "first_reported": _instant(evidence.get(self._first_seen)) if self._first_seen else None,
            "dated": self._last_seen is not None,
        }

    def _excess(self, weight: float) -> float:
        """Return how many times the rule's threshold a weight is; 1: the rule has none, or it cannot be divided by."""
        threshold = _number(self._threshold)
        return max(1.0, weight / threshold) if threshold > 0 else 1.0

    def _seen(self, evidence: dict, document: dict) -> str | None:
        """Return the instant at which the evidence was seen last: when the host was measured, unless the rule names a field for it."""
        if self._last_seen is None:
            return document["collected_at"]
        return _instant(evidence.get(self._last_seen))


class Entry:
    """A rule and all that overrides it: the rule that it is on each host.

    layers: [(place for errors, override)], the last one counts; an override is {parameter: value, 'enabled', 'severity',
    'groups': {group: the same without scopes}, 'hosts': {pattern: the same}}. Raises PolicyError.
    """

    def __init__(self, spec: dict, layers: list[tuple], source: Source, number: int, translate: Messages = ENGLISH):
        self._spec, self._source, self._number, self._translate = spec, source, number, translate
        self._general: dict = {}
        self._scoped: list[tuple] = []
        self._made: dict[str, Rule] = {}
        self._changes: list[dict] = []
        self.unchanged = self._rule({})  # first of all, so that an error of the rule itself is reported for the rule
        for place, override in layers:
            self._general.update(self._checked(place, {name: value for name, value in override.items() if name not in SCOPES}))
            for scope in SCOPES:
                below = override.get(scope, {})
                if not isinstance(below, dict) or not all(isinstance(change, dict) for change in below.values()):
                    raise PolicyError(f"{place(scope)}: rule '{spec['id']}': '{scope}': a dictionary of overrides by name is expected")
                self._scoped += [(scope, name, self._checked(place, change, scope, name)) for name, change in below.items()]
        # A pattern of a host's name takes precedence over a group of the host.
        self._scoped.sort(key=lambda scoped: SCOPES.index(scoped[0]))
        self.rule = self._rule(self._general)
        for _scope, _name, change in self._scoped:
            self._rule({**self._general, **change})

    def _checked(self, place: Place, changes: dict, *scope: str) -> dict:
        """Return the changes of one override. Raises PolicyError naming its place."""
        declared = self._spec.get("parameters", {})
        for name, value in changes.items():
            where = f"{place(*scope, name)}: rule '{self._spec['id']}': '{'.'.join([*scope, str(name)])}'"
            if name == "enabled":
                if not isinstance(value, bool):
                    raise PolicyError(f"{where}: true or false is expected")
            elif name == "severity":
                if value not in SEVERITIES:
                    raise PolicyError(f"{where}: one of {', '.join(SEVERITIES)} is expected")
            elif name not in declared:
                raise PolicyError(f"{where}: no such parameter (known: {', '.join([*RESERVED[:2], *sorted(declared)])})")
            else:
                kind, expected = KINDS[type(declared[name]["value"])]
                unit = declared[name]["unit"]
                texts = kind is not list or (isinstance(value, list) and all(isinstance(item, str) for item in value))
                if isinstance(value, bool) or not isinstance(value, kind) or not texts:
                    raise PolicyError(f"{where}: {expected}{f' ({unit})' if unit else ''} is expected")
            self._changes.append({"field": name, "value": value, "scope": scope, "place": place(*scope, name)})
        return changes

    def _rule(self, changes: dict) -> Rule:
        key = json.dumps(changes, sort_keys=True)
        if key not in self._made:
            self._made[key] = Rule(self._spec, changes, self._source, self._number, self._translate)
        return self._made[key]

    @property
    def summary(self) -> dict:
        """What a report shows of the rule in force, as in the fleet document: name, rationale, parameters and what was changed."""
        declared, spec = self._spec.get("parameters", {}), self._spec
        of = {"enabled": True, "severity": self.unchanged.severity, **{name: entry["value"] for name, entry in declared.items()}}
        return {
            "rule": spec["id"],
            "name": self.rule.name,
            "rationale": self.rule.rationale,
            "file": self.rule.origin,
            "severity": self.rule.severity,
            "category": self.rule.category,
            "enabled": self.rule.enabled,
            "weight": spec.get("weight"),
            "references": spec.get("references", []),
            "remedies": self.rule.remedies,
            "parameters": [
                {
                    "name": name,
                    "value": self.rule.parameters[name],
                    "unit": entry["unit"],
                    "description": self._translate.template(entry["description"]),
                }
                for name, entry in declared.items()
            ],
            "changes": [
                {
                    "field": change["field"],
                    "from": of[change["field"]],
                    "to": change["value"],
                    "scope": change["scope"][0] if change["scope"] else "all",
                    "of": str(change["scope"][1])[:255] if change["scope"] else "",
                    "place": change["place"].rsplit("/", 1)[-1],
                }
                for change in self._changes
                if change["value"] != of[change["field"]]
            ][:CHANGES_A_RULE],
        }

    @property
    def identity(self) -> list:
        """What the rule is, for the hash of the policy: the rule as written and every override, whatever its place."""
        return [self._spec, [[change["field"], change["value"], list(change["scope"])] for change in self._changes]]

    def on(self, document: dict) -> Rule:
        """Return the rule as it is on the host of a document."""
        if not self._scoped:
            return self.rule
        changes = dict(self._general)
        for scope, name, change in self._scoped:
            if fits(document["host"], document["groups"], [name] if scope == "hosts" else None, [name] if scope == "groups" else None):
                changes.update(change)
        return self._rule(changes)


@dataclasses.dataclass
class Evaluation:
    """The result of a policy on one host.

    findings: worst first, as in the design, and weight: number, the larger the worse; bytes_per_s: the same of rules whose weight
    is in that unit, 0 of others: memory that grows is compared across rules, and what fills the host soonest comes first; excess: how many
    times the rule's threshold the weight is; last_seen: instant at which the evidence was seen last, None: not known; dated: the host
    itself has the date of the evidence; first_reported: instant of its first date there, None: not known;
    waived: the same, with waiver:
    {owner, reason, expires, place}; problems: text, one for each rule that could not be evaluated; outcomes: {rule: 'fail', 'waived',
    'pass', 'unknown' (what it asks was not measured) or 'off'}; not_judged: {rule: severities of findings that need attention and that the
    rule would have made as its file has it, but not as overrides have it}; unmet: those rules that are unknown though their probes
    measured, and though nobody has to ask for what they need.
    """

    findings: list[dict]
    waived: list[dict]
    problems: list[str]
    outcomes: dict[str, str]
    not_judged: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    unmet: list[str] = dataclasses.field(default_factory=list)


class Policy:
    """All rules of some policy files.

    rules: list of Rule as they are where nothing is overridden for a host, in the order of the files; origins: [{'file': name,
    'rules': number}]; waivers: list of Waiver; today: the day that decides which of them hold.
    """

    def __init__(self, entries: list[Entry], origins: list[dict], waivers: list[Waiver], today: datetime.date):
        self.rules = [entry.rule for entry in entries]
        self.origins = origins
        self.expired = [waiver for waiver in waivers if waiver.expired(today)]
        self.waivers = [waiver for waiver in waivers if not waiver.expired(today)]
        self.version = VERSION
        self.sha256 = _sha256([[entry.identity for entry in entries], [waiver.spec for waiver in waivers]])
        self._entries = entries
        self._place = {rule.id: number for number, rule in enumerate(self.rules)}
        self._joins = set[str]().union(*(rule.joins for rule in self.rules))

    @property
    def summary(self) -> list[dict]:
        """What a report shows of each rule in force, as in Entry."""
        return [entry.summary for entry in self._entries]

    def evaluate(self, document: dict) -> Evaluation:
        """Return what the policy says of one valid host document, to which the controller may have added 'trend' (trend-1.json)."""
        if document["state"] != "scanned":
            return Evaluation([], [], [], {rule.id: "unknown" for rule in self.rules})
        found: list[dict] = []
        problems: list[str] = []
        outcomes: dict[str, str] = {}
        not_judged: dict[str, list[str]] = {}
        unmet: list[str] = []
        document = joined(document, self._joins)
        measured = frozenset(name for name, probe in document["probes"].items() if probe["status"] in ("ok", "degraded"))
        compared = frozenset(name for name, trend in document.get("trend", {}).items() if trend["compared"])
        for entry in self._entries:
            rule = entry.on(document)
            outcomes[rule.id] = "off" if not rule.enabled else "pass" if rule.is_measured(measured, compared) else "unknown"
            if rule is not entry.unchanged and not rule.equals(entry.unchanged) and (hidden := _hidden(entry.unchanged, rule, document)):
                not_judged[rule.id] = hidden
            if not rule.enabled:
                continue
            try:
                evidence = rule.evidence(document)
                found += [rule.finding(document, item) for item in evidence[:FINDINGS_A_RULE]]
                if not evidence and outcomes[rule.id] == "pass" and not rule.is_known(document):
                    outcomes[rule.id] = "unknown"
                    if not rule.on_request:
                        unmet.append(rule.id)
            except (ExpressionError, TemplateError) as error:
                outcomes[rule.id] = "unknown"
                problems.append(f"{rule.origin}: rule '{rule.id}' could not be evaluated: {error}")
                continue
            if len(evidence) > FINDINGS_A_RULE:
                problems.append(f"{rule.origin}: rule '{rule.id}': only the first {FINDINGS_A_RULE} of {len(evidence)} findings were kept")
        found.sort(key=lambda f: (SEVERITIES.index(f["severity"]), -f["bytes_per_s"], self._place[f["rule"]], -f["weight"], f["signature"]))
        seen: collections.Counter[str] = collections.Counter()
        findings: list[dict] = []
        waived: list[dict] = []
        for finding in found:
            seen[finding["signature"]] += 1
            key = f"{finding['host']}\0{finding['signature']}\0{seen[finding['signature']]}"
            finding["id"] = hashlib.sha256(key.encode()).hexdigest()[:16]
            waiver = next((waiver for waiver in self.waivers if waiver.covers(finding, document["groups"])), None)
            (findings if waiver is None else waived).append(finding if waiver is None else {**finding, "waiver": waiver.summary})
        outcomes.update({finding["rule"]: "waived" for finding in waived})
        outcomes.update({finding["rule"]: "fail" for finding in findings})
        return Evaluation(self._without_those_beneath(findings), waived, problems, outcomes, not_judged, unmet)

    def _without_those_beneath(self, found: list[dict]) -> list[dict]:
        """Return the findings without those of which another rule has one that is at least as severe: one cause is one finding."""
        above = {rule.id: rule.beneath for rule in self.rules if rule.beneath}
        worst: dict[str, int] = {}
        for finding in found:
            severity = SEVERITIES.index(finding["severity"])
            worst[finding["signature"]] = min(severity, worst.get(finding["signature"], severity))

        def beneath(one: dict) -> bool:
            signature = f"{above.get(one['rule'])}|{one['signature'].partition('|')[2]}"
            return worst.get(signature, len(SEVERITIES)) <= SEVERITIES.index(one["severity"])

        return [one for one in found if not beneath(one)]

    def findings(self, document: dict) -> tuple[list[dict], list[str]]:
        """Return (findings that are not waived, problems) of one valid host document, as in Evaluation."""
        evaluation = self.evaluate(document)
        return evaluation.findings, evaluation.problems


def _hidden(written: Rule, in_force: Rule, document: dict) -> list[str]:
    """Return the severities of findings that need attention and that a rule makes as it is written, but not as it is in force."""

    def made(rule: Rule) -> list[dict]:
        try:
            return [rule.finding(document, item) for item in rule.evidence(document)[:FINDINGS_A_RULE]] if rule.enabled else []
        except (ExpressionError, TemplateError):
            return []

    known = collections.Counter(finding["signature"] for finding in made(in_force) if finding["severity"] != "info")
    hidden = []
    for finding in made(written):
        if finding["severity"] == "info":
            continue
        if known[finding["signature"]]:
            known[finding["signature"]] -= 1
        else:
            hidden.append(finding["severity"])
    return hidden


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path, name: str | None = None) -> Source:
    try:
        source = Source(path, POLICY_BYTES, name)
    except SourceError as error:
        raise PolicyError(str(error)) from None
    document = source.document
    try:
        if not isinstance(document, dict) or document.get("schema") != "ksysak.policy/1":
            raise SchemaError("schema", "a policy begins with 'schema: ksysak.policy/1'")
        validate(document)
    except SchemaError as error:
        raise PolicyError(f"{source.place(error.path, word=error.word)}: {_named(document, error)}") from None
    for number, rule in enumerate(document.get("rules", [])):
        for name in set(rule.get("parameters", {})) & set(RESERVED):
            place = source.place(["rules", number, "parameters"], word=name)
            raise PolicyError(f"{place}: rule '{rule['id']}': a parameter cannot be called '{name}'")
        case = rule.get("case", {})
        if "table" in case:
            case["of"] = TABLES[case["table"]]
    return source


def _named(document: Any, error: SchemaError) -> str:
    """Say rule 'x' instead of rules.3, where the rule has a name."""
    steps = error.where.split(".")
    if steps[0] == "rules" and len(steps) > 1 and steps[1].isdigit():
        rule = document["rules"][int(steps[1])]
        if isinstance(rule, dict) and isinstance(rule.get("id"), str):
            return ": ".join(filter(None, [f"rule '{rule['id'][:64]}'", ".".join(steps[2:]), error.what]))
    return str(error)


def _in_file(source: Source, rule: str) -> Place:
    """Return a function that says where in a file an override, or a part of it, stands."""
    return lambda *steps: source.place(["overrides", rule, *steps][:-1], word=str((rule, *steps)[-1]))


def _layers(sources: list[Source], overrides: dict) -> dict[str, list[tuple]]:
    """Return {rule: [(place, override)]}: those of the files in their order, then those of the option."""
    layers: dict[str, list[tuple]] = {}
    for source in sources:
        for rule, override in source.document.get("overrides", {}).items():
            layers.setdefault(rule, []).append((_in_file(source, rule), override))
    for rule, override in overrides.items():
        own = override or {}
        if not isinstance(own, dict):
            raise PolicyError(f"{OPTION}: rule '{rule}': a dictionary of parameters is expected")
        layers.setdefault(rule, []).append((lambda *_steps: OPTION, own))
    return layers


def _waivers(source: Source, known: set[str]) -> list[Waiver]:
    made = []
    for number, spec in enumerate(source.document.get("waivers", [])):
        steps = ["waivers", number]
        if spec.get("rule", min(known, default="")) not in known:
            raise PolicyError(f"{source.place([*steps, 'rule'])}: waiver: no rule is called '{spec['rule']}'")
        try:
            made.append(Waiver(spec, source.place(steps).replace(str(source.path), source.path.name, 1)))
        except ValueError:
            raise PolicyError(f"{source.place([*steps, 'expires'])}: waiver: '{spec['expires']}' is not a day (as 2027-01-31)") from None
    return made


def _files(paths: list[str]) -> list[tuple[Path, str, str]]:
    """Return (file, its name for people, the policy that it belongs to) of each file of some policies."""
    found = []
    for path in paths:
        files = shipped(path)
        parts = len(files) > 1
        found += [(file, f"{path}/{file.name}" if parts else file.name, path if parts else file.name) for file in files or (Path(path),)]
    return found


def load(
    paths: list[str] | None = None, overrides: dict | None = None, today: datetime.date | None = None, translate: Messages = ENGLISH
) -> Policy:
    """Load policy files; 'default' and 'compliance' stand for the shipped ones, 'default' also when there are none.

    overrides: {rule id: override}, as in Entry; today: decides which waivers hold (default: the day in UTC);
    translate: language of titles and remedies, where it has them. Raises PolicyError.
    """
    sources: list[Source] = []
    homes: dict[str, Source] = {}
    origins: dict[str, int] = {}
    for path, name, origin in _files(paths or ["default"]):
        source = _read(path, name)
        origins[origin] = origins.get(origin, 0) + len(source.document.get("rules", []))
        for number, spec in enumerate(source.document.get("rules", [])):
            if spec["id"] in homes:
                place = source.place(["rules", number, "id"])
                raise PolicyError(f"{place}: rule '{spec['id']}': already defined in {homes[spec['id']].name}")
            homes[spec["id"]] = source
        sources.append(source)
    layers = _layers(sources, overrides or {})
    for unknown in sorted(set(layers) - set(homes)):
        raise PolicyError(f"{layers[unknown][0][0]()}: no rule is called '{unknown}' (known: {', '.join(sorted(homes))})")
    entries, waivers = [], []
    for source in sources:
        rules = source.document.get("rules", [])
        entries += [Entry(spec, layers.get(spec["id"], []), source, number, translate) for number, spec in enumerate(rules)]
        waivers += _waivers(source, set(homes))
    listed = [{"file": origin, "rules": rules} for origin, rules in origins.items()]
    return Policy(entries, listed, waivers, today or datetime.datetime.now(datetime.timezone.utc).date())
