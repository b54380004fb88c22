"""readers_prepare.py DATA SIMULATED OUT: packets of two surveys in many schema versions, and what readers have to find of them.

OUT/ztf: ZTF's own packets (3.1 to 4.01), simulated ones (4.01), and those once more with two optional fields that 4.01 does not
have. OUT/lsst: Rubin's packets (7.0 to 11.0), with and without cut-outs, in Confluent's frame; OUT/schemas: their schemas.
OUT/catalog.csv: sources near ZTF's alerts. OUT/expected.json: the answers (see readers_common) by survey, read by fastavro. Files
get times in different hours, days, months and years: the file's time is when a message was received."""

import datetime
import glob
import hashlib
import io
import json
import os
import re
import sys

import astropy.units as u
import fastavro
from astropy_healpix import HEALPix

import matches
from packets import read_container
from readers_common import SURVEYS, answer, walk

TIMES = ["2025-12-31T23:59:59.250", "2026-01-01T00:00:00", "2026-09-09T09:30:00", "2026-10-10T10:45:00.125", "2026-10-10T11:00:00"]
CUT = 0.55
RADIUS = 1.5
NEW = "4.02"
PLACES = {"ztf": "candidate", "lsst": "diaSource"}


def newer(schema, record, number):
    """The packet as a later version would have it: an optional field more in the record, and in its candidate."""
    schema = json.loads(json.dumps(schema))
    schema["fields"].append({"name": "provenance", "type": ["null", "string"], "default": None})
    candidate = next(f for f in schema["fields"] if f["name"] == "candidate")
    candidate["type"]["fields"].append({"name": "snr", "type": ["null", "double"], "default": None})
    record = {**record, "schemavsn": NEW, "provenance": f"pipeline {number}" if number % 3 else None}
    record["candidate"] = {**record["candidate"], "snr": 5.0 + number / 7 if number % 2 else None}
    return schema, record


def container(schema, record, codec):
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), [record], codec=codec)
    return out.getvalue()


def framed(schema, number, record):
    out = io.BytesIO()
    out.write(b"\x00" + number.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def ztf(data, simulated):
    """(name, bytes, schema, record) of each packet."""
    for path in sorted(glob.glob(f"{data}/alerts/ztf/*.avro") + glob.glob(f"{data}/alerts/ztf-snappy/*.avro")):
        content = open(path, "rb").read()
        schema, records = read_container(content)
        assert len(records) == 1, path
        yield "real-" + os.path.basename(path), content, schema, records[0]
    for number, path in enumerate(sorted(glob.glob(f"{simulated}/*.avro"))):
        content = open(path, "rb").read()
        schema, (record,) = read_container(content)
        yield f"simulated-{number:04}.avro", content, schema, record
        later, record = newer(schema, record, number)
        yield f"newer-{number:04}.avro", container(later, record, "null" if number % 2 else "snappy"), later, record


def lsst(data, schemas):
    """As [`ztf`]; the schemas are written down."""
    for path in sorted(glob.glob(f"{data}/alerts/lsst/*.avro")):
        major, minor = re.search(r"v(\d+)\.(\d+)\.avro$", path).groups()
        number = int(major) * 100 + int(minor)
        schema, (record,) = read_container(open(path, "rb").read())
        with open(f"{schemas}/{number}.avsc", "w") as file:
            json.dump(schema, file)
        for turn in range(4):
            stamp = b"".join(hashlib.sha512(f"{number} {turn} {i}".encode()).digest() for i in range(60 * turn))
            own = {**record, "cutoutScience": stamp if turn else None}
            own["diaSource"] = {**record["diaSource"], "ra": (number / 4 + turn * 10) % 360, "dec": turn * 20.5 - 40}
            yield f"{number:04}-{turn}.message", framed(schema, number, own), schema, own


def main():
    data, simulated, out = sys.argv[1:]
    for folder in ("ztf", "lsst", "schemas"):
        os.makedirs(f"{out}/{folder}")
    grid = HEALPix(nside=2**29, order="nested")
    kinds = {
        "ztf": sorted(ztf(data, simulated), key=lambda p: p[0]),
        "lsst": sorted(lsst(data, f"{out}/schemas"), key=lambda p: p[0]),
    }
    with open(f"{out}/catalog.csv", "w") as file:
        file.write("id,ra,dec\n")
        for i, (_, _, _, record) in enumerate(kinds["ztf"]):
            place = record["candidate"]
            for j in range(i % 3):
                file.write(f"near-{i}-{j},{place['ra']!r},{min(place['dec'] + (j + 1) * 0.6 * RADIUS / 3600, 90)!r}\n")
    catalog = matches.Catalog(f"{out}/catalog.csv", "near", RADIUS)
    expected, versions = {}, {}
    for survey, packets in kinds.items():
        rows = expected[survey] = []
        for offset, (name, content, schema, record) in enumerate(packets):
            received = datetime.datetime.fromisoformat(TIMES[offset % len(TIMES)] + "+00:00")
            milliseconds = round(received.timestamp() * 1000)
            path = f"{out}/{survey}/{name}"
            with open(path, "wb") as file:
                file.write(content)
            os.utime(path, ns=(0, milliseconds * 1_000_000))
            row = {key: answer(record, question) for key, question in SURVEYS[survey].items()}
            place = record[PLACES[survey]]
            around = catalog.around(place["ra"], place["dec"])
            score = walk(record, "candidate.rb")
            passed = survey != "ztf" or (score is not None and score >= CUT)
            row |= {
                "packet": name, "topic": f"{survey}.files", "partition": 0, "offset": offset, "record": 0, "received": milliseconds,
                "year": received.year, "month": received.month, "day": received.day, "hour": received.hour,
                "healpix": int(grid.lonlat_to_healpix(place["ra"] * u.deg, place["dec"] * u.deg)),
                "passed": passed, "skipped_by": None if passed else "real",
            }
            # What a step stops has not been matched.
            row |= {"matches": len(around), "matched": len(around), "distances": float(sum(d for d, _ in around))} if passed else {
                "matches": None, "matched": None, "distances": None,
            }
            rows.append(row)
        for row in rows:
            version = row.get("version") or row["packet"][:4]
            versions[f"{survey} {version}"] = versions.get(f"{survey} {version}", 0) + 1
    with open(f"{out}/expected.json", "w") as file:
        json.dump(expected, file)
    print(json.dumps({"rows": {k: len(v) for k, v in expected.items()}, "versions": versions}))


main()
