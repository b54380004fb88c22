"""compare_export.py EXPORTED PACKETS...: the records of all containers in the folder EXPORTED are those of the packets (files or
folders), every field, floats by their bits, of the same schema. Both are read by fastavro."""

import collections
import glob
import os
import struct
import sys

import fastavro

from packets import finish, read_container


def exact(value):
    """Something that is equal where the value is the same to the bit."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, dict):
        return ("record", *((key, exact(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("array", *map(exact, value))
    return (type(value).__name__, value)


def leaves(value):
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    if isinstance(value, list):
        return sum(map(leaves, value))
    return 1


def read(files):
    records, fields = collections.Counter(), 0
    for file in files:
        with open(file, "rb") as opened:
            schema, found = read_container(opened.read())
        # Words do not count: packets that differ in them alone are archived as of one schema.
        name = fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(schema))
        for record in found:
            records[(name, exact(record))] += 1
            fields += leaves(record)
    return records, fields


def main():
    exported, *packets = sys.argv[1:]
    sent = [f for p in packets for f in (sorted(glob.glob(f"{p}/*.avro")) if os.path.isdir(p) else [p])]
    containers = sorted(glob.glob(f"{exported}/*.avro"))
    (before, _), (after, fields) = read(sent), read(containers)
    problems = [f"{count} records of a packet are not in the export: {key[1]!r:.300}" for key, count in (before - after).items()]
    problems += [f"{count} records of the export are in no packet: {key[1]!r:.300}" for key, count in (after - before).items()]
    finish(problems, containers=len(containers), records=after.total(), fields=fields)


main()
