# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and evaluate the hosts of a scan, on as many cores as there are.

Each process has every so-many-th file and sends what it makes of it through a pipe, which bounds how far it gets ahead. It ends by
itself when nobody reads any more. What one that was killed leaves undone is done here.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from ...module_utils._core.registry import NAMES
from ..policy.policy import Evaluation, Policy
from ..schema.validate import prepare
from . import load

PROCESSES = 4
FEW = 256

# (file name, host document or None, reason why there is none, evaluation or None)
Evaluated = tuple[str, dict | None, str, Evaluation | None]


def evaluated_hosts(
    folder: Path,
    policy: Policy,
    scan_id: str | None,
    trend: Callable[[dict], dict] | None = None,
    kept: Callable[[dict], dict] | None = None,
) -> Iterator[Evaluated]:
    """Yield (file name, host document or None, reason why there is none, what the policy says of it or None), sorted by file name.

    folder: of a scan; scan_id: documents of other scans are refused; None: unknown; trend: returns what several scans say of the host of a
    document, which becomes its 'trend'; kept: returns what is wanted of a document, with its 'host', None: all of it.
    """

    def evaluate(path: Path) -> Evaluated:
        file, document, reason = load.read_host(path, scan_id)
        if document and trend and document["state"] == "scanned":
            document["trend"] = trend(document)
        evaluation = policy.evaluate(document) if document else None
        return file, kept(document) if document and kept else document, reason, evaluation

    seen: set[str] = set()
    with no_collection():
        for file, document, reason, evaluation in _on_all_cores(evaluate, load.host_files(folder)):
            if document is not None and document["host"] in seen:  # two names that differ only in what is not visible
                yield file, None, f"is a second result of host '{document['host']}'", None
                continue
            if document is not None:
                seen.add(document["host"])
            yield file, document, reason, evaluation


def _on_all_cores(work: Callable, files: list[Path]) -> Iterator:
    """Yield work(file) for each file, in their order: of many files from several processes, which share compiled schemas."""
    processes = 1 if len(files) < FEW else min(PROCESSES, _cores())
    if processes == 1:
        return map(work, files)
    prepare(["host", *NAMES])
    return _spread(work, files, processes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without the search for cycles of references, which documents have none of: it would take as long as the work itself."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _spread(work: Callable, items: list, processes: int) -> Iterator:
    """Yield work(item) for each item, in their order, from processes that are forked, as Ansible's own are."""
    context = multiprocessing.get_context("fork")
    readers, workers = [], []
    try:
        for first in range(processes):
            reader, writer = context.Pipe(duplex=False)
            readers.append(reader)
            workers.append(context.Process(target=_serve, args=(work, items[first::processes], writer, list(readers))))
            workers[-1].start()
            writer.close()
        for number, item in enumerate(items):
            try:
                done = readers[number % processes].recv()
            except EOFError:
                done = work(item)
            yield done
    finally:
        for reader in readers:
            reader.close()
        for worker in workers:
            worker.join()


def _serve(work: Callable, items: list, writer: Connection, readers: list) -> None:
    """In a process of its own. readers: ends of pipes that only the parent may hold, or nobody would notice that it is gone."""
    for reader in readers:
        reader.close()
    with contextlib.suppress(BrokenPipeError):
        for item in items:
            writer.send(work(item))
