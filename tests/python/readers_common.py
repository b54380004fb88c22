"""What every reader of an archive is asked, what the packets say to it, and the comparison.

A question is a kind and a path into the row: `value` is the field itself, `count` the length of a list, `sum` that of a float
field of its items (none: 0), `ms` a time in milliseconds since 1970, `length` and `sha256` those of bytes."""

import hashlib
import json
import math
import struct

OWN = {
    "topic": ("value", "skysluice.topic"),
    "partition": ("value", "skysluice.partition"),
    "offset": ("value", "skysluice.offset"),
    "record": ("value", "skysluice.record"),
    "received": ("ms", "skysluice.received"),
    "healpix": ("value", "skysluice.healpix29"),
    "passed": ("value", "skysluice.passed"),
    "skipped_by": ("value", "skysluice.skipped_by"),
    "matches": ("value", "matches"),
    "matched": ("count", "crossmatches"),
    "distances": ("sum", "crossmatches", "distance"),
}
HOUR = ["year", "month", "day", "hour"]
SURVEYS = {
    "ztf": {
        **OWN,
        "version": ("value", "schemavsn"),
        "object": ("value", "objectId"),
        "id": ("value", "candidate.candid"),
        "time": ("value", "candidate.jd"),
        "score": ("value", "candidate.rb"),
        "history": ("count", "prv_candidates"),
        "magnitudes": ("sum", "prv_candidates", "magpsf"),
        "forced": ("count", "fp_hists"),
        "fluxes": ("sum", "fp_hists", "forcediffimflux"),
        "stamp": ("length", "cutoutScience.stampData"),
        "stamp_sha256": ("sha256", "cutoutScience.stampData"),
        # New in the version after 4.01.
        "provenance": ("value", "provenance"),
        "snr": ("value", "candidate.snr"),
    },
    "lsst": {
        **OWN,
        # Until 7.4, and from 8.0.
        "alert": ("value", "alertId"),
        "source": ("value", "diaSourceId"),
        "reason": ("value", "observation_reason"),
        "object": ("value", "diaSource.diaObjectId"),
        "time": ("value", "diaSource.midpointMjdTai"),
        "flux": ("value", "diaSource.psfFlux"),
        "history": ("count", "prvDiaSources"),
        "fluxes": ("sum", "prvDiaSources", "psfFlux"),
        "stamp": ("length", "cutoutScience"),
        "stamp_sha256": ("sha256", "cutoutScience"),
    },
}
# Computed by two programs, or added up in another order.
ROUNDED = {"distances": 1e-6, "magnitudes": 1e-9, "fluxes": 1e-9}


def walk(row, path):
    """The field at a path of nested dictionaries; None where a part is missing."""
    for name in path.split("."):
        row = None if row is None else row.get(name)
    return row


def answer(row, question):
    """The answer of a row that is a dictionary."""
    kind, path, *item = question
    value = walk(row, path)
    if value is None or kind in ("value", "ms"):
        return value
    if kind in ("count", "length"):
        return len(value)
    if kind == "sha256":
        return hashlib.sha256(value).hexdigest()
    return math.fsum(x for x in (walk(i, item[0]) for i in value) if x is not None)


def load(path):
    """What is expected, by survey: rows by offset."""
    with open(path) as file:
        return json.load(file)


def same(name, expected, actual):
    """Whether two answers are equal; floats by their bits where they are not sums."""
    if isinstance(expected, float) and isinstance(actual, float):
        if name in ROUNDED:
            return math.isclose(expected, actual, rel_tol=ROUNDED[name], abs_tol=ROUNDED[name])
        return struct.pack("<d", expected) == struct.pack("<d", actual)
    return type(expected) is type(actual) and expected == actual


def compare(reader, survey, expected, rows):
    """Problems of the rows (dictionaries of answers, with the hour) that a reader gave, and how many answers were compared."""
    problems, compared = [], 0
    found = {}
    for row in rows:
        found.setdefault(row["offset"], []).append(row)
    if set(found) != {e["offset"] for e in expected} or any(len(same_offset) != 1 for same_offset in found.values()):
        problems.append(f"{reader}, {survey}: {len(rows)} rows of {len(found)} alerts, {len(expected)} expected")
    for e in expected:
        for row in found.get(e["offset"], []):
            for name in [*SURVEYS[survey], *HOUR]:
                actual = row[name]
                if SURVEYS[survey].get(name, [""])[0] == "sum" and actual is None and e[name] is not None:
                    actual = 0.0
                compared += 1
                if not same(name, e[name], actual):
                    problems.append(f"{reader}, {survey} {e['packet']}: {name} is {actual!r}, the packet says {e[name]!r}")
    return problems, compared


def count(rows, keys):
    """Rows by what stands in `keys`."""
    counts = {}
    for row in rows:
        key = tuple(row[k] for k in keys)
        counts[key] = counts.get(key, 0) + 1
    return counts
