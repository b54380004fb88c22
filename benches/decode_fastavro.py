"""decode_fastavro.py SURVEY FOLDER: decodes the datums in FOLDER/datums (each with its length before it, four bytes, little-endian), which
were written with FOLDER/schema.json, one after the other, for three seconds. Prints the median of the rounds, microseconds an alert;
then for each alert its id, right ascension, number of previous detections, and bytes of its cut-outs.

`cargo bench --bench decode` makes the folder and runs this; it needs fastavro."""

import io
import json
import statistics
import struct
import sys
import time

import fastavro

FIELDS = {"ztf": ("candid", "candidate", "prv_candidates"), "lsst": ("diaSourceId", "diaSource", "prvDiaSources")}


def datums(path):
    with open(path, "rb") as file:
        while head := file.read(4):
            yield file.read(struct.unpack("<I", head)[0])


def stamp(value):
    return len(value["stampData"] if isinstance(value, dict) else value or b"")


def main():
    survey, folder = sys.argv[1:]
    with open(f"{folder}/schema.json") as file:
        schema = fastavro.parse_schema(json.load(file))
    packets = list(datums(f"{folder}/datums"))
    rounds, end = [], time.perf_counter() + 3
    while time.perf_counter() < end:
        start = time.perf_counter()
        for packet in packets:
            fastavro.schemaless_reader(io.BytesIO(packet), schema, None)
        rounds.append((time.perf_counter() - start) * 1e6 / len(packets))
    print(statistics.median(rounds))
    identity, source, previous = FIELDS[survey]
    for packet in packets:
        alert = fastavro.schemaless_reader(io.BytesIO(packet), schema, None)
        stamps = sum(stamp(alert[f"cutout{name}"]) for name in ("Science", "Template", "Difference"))
        print(alert[identity], repr(alert[source]["ra"]), len(alert[previous] or ()), stamps)


main()
