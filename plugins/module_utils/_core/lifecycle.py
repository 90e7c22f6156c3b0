# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of an engine, from the choice of the first that works to its envelope."""

import resource

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable, degrade, envelope

REPORT_BUG = 'Please report this with the kernel release; the other probes of this scan are not affected.'


class _Unexpected(Unavailable):
    """An engine failed in a way that it does not know."""


def no_engine(probe, missing):
    """Return the envelope of a probe none of whose engines works here. missing: as of open_engine."""
    unexpected = any(isinstance(error, _Unexpected) for error in missing)
    return envelope(probe, 'failed' if unexpected else 'skipped', missing[0].reason, missing[0].remedy)


def open_engine(probe):
    """Return (the first engine that works or None, [what kept the ones before it])."""
    missing = []
    for engine_class in probe.ENGINES:
        engine = engine_class(probe.options)
        try:
            engine.open()
            return engine, missing
        except Unavailable as error:
            missing.append(error)
        except Exception as error:
            missing.append(_Unexpected('%s engine: %s: %s' % (engine_class.NAME, type(error).__name__, error), REPORT_BUG))
        close_engine(engine)
    return None, missing


def finish(probe, engine, missing, wall, window_s):
    """Stop an engine and return its envelope, without the cost of the process. Raises what the engine raises.

    wall: datetime in UTC at which the window opened; window_s: how long ago.
    """
    engine.stop()
    result = envelope(probe, 'ok', engine=engine.NAME, started_at=wall, window_s=window_s)
    result['data'] = engine.read(max(window_s, 1e-3))
    result['cost'].update(lost_events=engine.lost_events, lost_share=engine.lost_share)
    return mark_degraded(result, engine, missing)


def failed(probe, engine, error):
    """Return the envelope of a probe whose engine raised an error."""
    if isinstance(error, Unavailable):
        return envelope(probe, 'failed', error.reason, error.remedy)
    return envelope(probe, 'failed', '%s engine: %s: %s' % (engine.NAME, type(error).__name__, error), REPORT_BUG)


def mark_degraded(result, engine, missing):
    """Degraded when a better engine was missing, or when this one could not see all."""
    for error in missing:
        degrade(result, error.reason, error.remedy)
    for limit in engine.degradations:
        degrade(result, limit)
    return result


def close_engine(engine):
    """Close it, whatever happens."""
    try:
        engine.close()
    except Exception:  # the process ends in a moment, and the kernel closes what is left
        pass


def cost(setup_s):
    """Return the part of an envelope's 'cost' that this process knows of itself."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {'cpu_s': round(usage.ru_utime + usage.ru_stime, 3), 'max_rss_bytes': usage.ru_maxrss * 1024, 'setup_s': round(setup_s, 3)}
