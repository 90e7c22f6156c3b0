# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of AWX's API as its own modules need to create objects: lists that are searched, objects, what is associated, surveys.

AWX itself needs a cluster. The modules are the real ones of awx.awx, so their options, look-ups and comparisons are, too.
"""

import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

VERSION = "24.6.1"
TEMPLATES = ("job_templates", "workflow_job_templates", "projects", "inventory_sources")
SURVEY = "survey_spec"
PATH = re.compile(r"/api/v2/(\w+)/(?:(\d+)/(?:(\w+)/)?)?")


class Awx:
    """The objects: {kind: {id: object}}, and {(kind, id, association): [id, …] or the survey}."""

    def __init__(self, **existing):
        """existing: names of what is there before, by kind."""
        self.kinds, self.parts, self.next_id = {}, {}, 1
        self.token = "a-token"
        for kind, names in existing.items():
            for name in names:
                self.create(kind, {"name": name})

    def create(self, kind, values):
        number, self.next_id = self.next_id, self.next_id + 1
        url = f"/api/v2/{kind}/{number}/"
        fixed = {"id": number, "type": kind.rstrip("s"), "url": url, "related": {SURVEY: url + SURVEY + "/"}}
        extra = {"scm_revision": "", "summary_fields": {"current_update": {"id": number}}} if kind == "projects" else {"summary_fields": {}}
        self.kinds.setdefault(kind, {})[number] = {**fixed, **extra, **values}
        return self.kinds[kind][number]

    def named(self, kind):
        return {one.get("name") or one["identifier"]: one for one in self.kinds.get(kind, {}).values()}

    def associated(self, kind, name, association):
        """Return the names of what is associated with an object."""
        numbers = self.parts.get((kind, self.named(kind)[name]["id"], association), [])
        everything = {number: one for found in self.kinds.values() for number, one in found.items()}
        return [everything[number].get("name") or everything[number]["identifier"] for number in numbers]

    def survey(self, kind, name):
        return self.parts.get((kind, self.named(kind)[name]["id"], SURVEY), {})

    def answer(self, method, kind, number, part, query, data):
        """Return (status, document)."""
        if kind == "project_updates":
            return 200, {"status": "successful"}
        if number is None:
            if method == "POST":
                return 201, self.create(kind, data)
            kinds = TEMPLATES if kind == "unified_job_templates" else (kind,)
            found = [one for name in kinds for one in self.kinds.get(name, {}).values() if self._matches(one, query)]
            return 200, {"count": len(found), "next": None, "results": [self._shown(one) for one in found]}
        if number not in self.kinds.get(kind, {}):
            return 404, {}
        if part is None:
            self.kinds[kind][number].update(data if method == "PATCH" else {})
            return 200, self._shown(self.kinds[kind][number])
        if part == SURVEY:
            if method == "POST":
                self.parts[kind, number, part] = data
            return 200, self.parts.get((kind, number, part), {})
        held = self.parts.setdefault((kind, number, part), [])
        if method == "GET":
            return 200, {"count": len(held), "next": None, "results": [{"id": one} for one in held]}
        (held.remove if data.get("disassociate") else held.append)(data["id"])
        return 204, None

    @staticmethod
    def _shown(one):
        """Return the object without its secrets, as AWX shows it."""
        configuration = one.get("notification_configuration")
        return {**one, "notification_configuration": {**configuration, "password": "$encrypted$"}} if configuration else one

    @staticmethod
    def _matches(one, query):
        return all(str(one[name]) == value for name, value in query if name in one and value != "None")


def _handler(awx):
    class Handler(BaseHTTPRequestHandler):
        def _any(self):
            split = urlsplit(self.path)
            kind, number, part = PATH.fullmatch(split.path).groups()
            length = int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(length) or b"{}")
            if self.headers.get("Authorization") != f"Bearer {awx.token}":
                status, document = 401, {}
            else:
                status, document = awx.answer(self.command, kind, number and int(number), part, parse_qsl(split.query), data)
            body = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", VERSION)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _any

        def log_message(self, *_args):
            pass

    return Handler


@contextlib.contextmanager
def served(awx):
    """Yield the address at which the API of these objects answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(awx))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
