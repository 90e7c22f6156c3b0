# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations of a report: what is refused before a scan, without a word of what was given."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.publish import TYPES, destinations, needs

FORMATS = ("html", "json")
GOOD = [
    {"type": "folder", "path": "/srv/reports"},
    {"type": "folder", "path": "/srv/reports", "host": "www1", "become": True, "name": "the web server", "formats": ["html"]},
    {"type": "http", "url": "https://x.example.net/a/"},
    {"type": "http", "url": "http://[::1]:8080", "method": "POST", "headers": {"X-Token": "a b"}, "timeout": 5, "retries": 0, "delay": 0},
    {"type": "http", "url": "https://x.example.net", "username": "u", "password": "p:@/", "ca_path": "/etc/ca.pem", "check": False},
    {"type": "s3", "bucket": "my.bucket-1"},
    {"type": "s3", "bucket": "abc", "prefix": "a/b", "endpoint_url": "http://127.0.0.1:9000", "access_key": "a", "secret_key": "b"},
    {"type": "mail", "host": "mx", "from": "Night <n@example.net>", "to": "a@example.net"},
    {"type": "mail", "host": "mx", "from": "n@example.net", "to": ["a@example.net"], "port": 587, "secure": "starttls"},
    {"type": "git", "url": "git@git.example.net:ops/reports.git", "branch": "ksysak/prod"},
    {"type": "git", "url": "ssh://git@git.example.net/r.git", "branch": "main", "folder": "a/b", "author": "A B <a@example.net>"},
    {"type": "git", "url": "https://x.example.net/r.git", "branch": "a", "username": "u", "password": "p", "ca_path": "/etc/ca.pem"},
    {"type": "git", "url": "git@x:r.git", "branch": "a", "host_keys": "x ssh-ed25519 AAAA"},
    {"type": "git", "url": "git@x:r.git", "branch": "a", "host_keys": ["@cert-authority *.x ssh-ed25519 AAAA", "y ssh-rsa AAAA"]},
    {"type": "git", "url": "/srv/r.git", "branch": "v1.2", "key_file": "/etc/key", "headers": {"Authorization": "Basic eA=="}},
]


def problems(*listed):
    found = []
    destinations(list(listed), FORMATS, ["www1"], found)
    return found


def test_what_is_right_passes():
    assert problems(*GOOD) == []
    assert {one["type"] for one in GOOD} == set(TYPES)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "'type' is missing or none of folder, http, s3, mail, git"),
        ({"type": "htpp"}, "did you mean 'http'?"),
        ({"type": ["http"]}, "'type' is missing or none of"),
        ({"type": "folder"}, "(folder): 'path' is missing"),
        ({"type": "folder", "path": "relative"}, "'path': an absolute path is expected"),
        ({"type": "folder", "path": "/x", "host": "nobody"}, "'host' is not in the inventory"),
        ({"type": "folder", "path": "/x", "formats": ["csv"]}, "'formats': csv is not written; add it to ksysak_formats"),
        ({"type": "folder", "path": "/x", "formats": ["xml"]}, "'formats': a list of html, json,"),
        ({"type": "folder", "path": "/x", "become": "yes"}, "'become': true or false is expected"),
        ({"type": "folder", "path": "/x", "retries": True}, "'retries': a whole number from 0 to 20 is expected"),
        ({"type": "folder", "path": "/x", "timeout": 0}, "'timeout': a whole number from 1 to 3600 is expected"),
        ({"type": "folder", "path": "/x", "url": "https://x"}, "there is no field 'url'"),
        ({"type": "http", "ulr": "https://x"}, "there is no field 'ulr'; did you mean 'url'?"),
        ({"type": "http", "url": "ftp://x"}, "'url': an address that begins with https:// or http:// is expected"),
        ({"type": "http", "url": "https://[x"}, "'url': an address that begins with"),
        ({"type": "http", "url": "https://me:SECRET@x"}, "a password in an address would be shown"),
        ({"type": "http", "url": "https://x", "username": "me"}, "'username' and 'password' belong together"),
        ({"type": "http", "url": "https://x", "headers": {"A": "SECRET\nB: x"}}, "'headers': a dictionary of header names"),
        ({"type": "http", "url": "https://x", "headers": {"A b": "SECRET"}}, "'headers': a dictionary of header names"),
        ({"type": "http", "url": "https://x", "headers": "SECRET"}, "'headers': a dictionary of header names"),
        ({"type": "http", "url": "https://x", "method": "PATCH"}, "'method': one of PUT, POST is expected"),
        ({"type": "http", "url": "https://x", "method": "POST", "check": True}, "'check' needs the method PUT"),
        ({"type": "s3", "bucket": "Not A Bucket"}, "'bucket': the name of a bucket is expected"),
        ({"type": "s3", "bucket": "abc", "prefix": "../x"}, "'prefix': a relative path is expected"),
        ({"type": "s3", "bucket": "abc", "secret_key": "SECRET"}, "'access_key' and 'secret_key' belong together"),
        ({"type": "mail", "host": "mx", "to": ["nobody"], "from": "a@b.c"}, "'to': mail addresses are expected"),
        ({"type": "mail", "host": "mx", "to": "a@b.c\nBcc: x@y.z", "from": "a@b.c"}, "'to': mail addresses are expected"),
        ({"type": "git", "url": "--upload-pack=SECRET", "branch": "x"}, "'url': an address or an absolute path of a Git"),
        ({"type": "git", "url": "ext::sh -c SECRET", "branch": "x"}, "'url': an address or an absolute path of a Git"),
        ({"type": "git", "url": "/r.git", "branch": "-x"}, "'branch': the name of a branch is expected"),
        ({"type": "git", "url": "/r.git", "branch": "a..b"}, "'branch': the name of a branch is expected"),
        ({"type": "git", "url": "/r.git", "branch": "x", "password": "SECRET"}, "'username' and 'password' belong together"),
        ({"type": "git", "url": "/r.git", "branch": "x", "host_keys": "SECRET"}, "'host_keys': lines of a known_hosts file"),
        ({"type": "git", "url": "/r.git", "branch": "x", "host_keys": "x ssh-rsa A\nSECRET"}, "'host_keys': lines of a known_hosts file"),
        ({"type": "git", "url": "/r.git", "branch": "x", "host_keys": []}, "'host_keys': lines of a known_hosts file"),
        ({"type": "git", "url": "/r.git", "branch": "x", "folder": "a/../../b"}, "'folder': a relative path is expected"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(wrong, message):
    found = problems({"type": "folder", "path": "/x"}, wrong)
    assert [one for one in found if message in one], found
    assert all(one.startswith("ksysak_publish, destination 2") for one in found)
    assert "SECRET" not in "".join(found)


def test_all_mistakes_are_named_at_once():
    assert len(problems({"type": "http"}, {"type": "s3"}, {"typ": "git"})) == 3


def test_text_of_a_survey_is_read():
    found = []
    assert destinations("[{type: folder, path: /x}]", FORMATS, [], found) == [{"type": "folder", "path": "/x"}]
    assert destinations("", FORMATS, [], found) == []
    assert found == []


def test_what_a_type_needs_is_asked_for_only_when_it_is_used():
    assert needs([GOOD[0], GOOD[2], GOOD[-1]]) == []
    assert needs(GOOD) == [("s3", "amazon.aws.s3_object", "boto3"), ("mail", "community.general.mail", None)]
