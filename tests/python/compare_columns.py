"""compare_columns.py ARCHIVE PACKETS OUTPUT KEPT: the archive holds of each packet exactly the fields of KEPT, with their
values, and says of each whether candidate.magpsf is below 18.5; OUTPUT holds whole
the packets of these with candidate.magap below candidate.magpsf.
KEPT: a JSON object of the names of fields, each `true` (all of it) or an object of what is kept in it; a list holds its item."""

import glob
import json
import sys

import pyarrow.parquet

from packets import Comparer, Mismatch, finish, read_container

ADDED = {"skysluice", "matches", "crossmatches", "catalogs"}


def only(value, kept):
    """What is kept of a value."""
    if kept is True or value is None:
        return value
    if isinstance(kept, list):
        return [only(item, kept[0]) for item in value]
    return {name: only(value[name], inside) for name, inside in kept.items()}


def schema_of(schema, kept, names):
    """The schema of what is kept."""
    if isinstance(schema, str):
        schema = names.get(schema, schema)
    if kept is True:
        return schema
    if isinstance(schema, list):
        return [branch if branch == "null" else schema_of(branch, kept, names) for branch in schema]
    if schema["type"] == "array":
        return {**schema, "items": schema_of(schema["items"], kept[0], names)}
    fields = [{**f, "type": schema_of(f["type"], kept[f["name"]], names)} for f in schema["fields"] if f["name"] in kept]
    return {**schema, "fields": fields}


def in_order(value, schema, comparer):
    """A value with the fields of its records in the order of the schema."""
    schema = comparer.resolve(schema)
    if isinstance(schema, list):
        if value is None:
            return None
        (schema,) = [branch for branch in schema if branch != "null"]
        return in_order(value, schema, comparer)
    if isinstance(schema, dict) and schema["type"] == "array":
        return [in_order(item, schema["items"], comparer) for item in value]
    if isinstance(schema, dict) and schema["type"] == "record":
        return {f["name"]: in_order(value[f["name"]], f["type"], comparer) for f in schema["fields"]}
    return value


def main():
    archive, packets, output, kept = sys.argv[1:]
    with open(kept) as file:
        kept = json.load(file)
    problems, seen = [], {}
    sent = {}
    for path in sorted(glob.glob(f"{packets}/*.avro")):
        with open(path, "rb") as file:
            schema, (record,) = read_container(file.read())
        seen[record["candid"]] = (schema, record)
    rows = passed = 0
    for path in glob.glob(f"{archive}/**/*.parquet", recursive=True):
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            rows += 1
            schema, record = seen[row["candid"]]
            bright = record["candidate"]["magpsf"] < 18.5
            passed += bright
            if row["skysluice"]["passed"] != bright:
                problems.append(f"{row['candid']}: passed is {row['skysluice']['passed']}, magpsf {record['candidate']['magpsf']}")
            if bright and record["candidate"]["magap"] < record["candidate"]["magpsf"]:
                sent[row["candid"]] = record
            values = {name: value for name, value in row.items() if name not in ADDED}
            comparer = Comparer(schema, arrow=True)
            comparer.schema = schema_of(schema, kept, comparer.names)
            try:
                comparer.record(in_order(only(record, kept), comparer.schema, comparer), values)
            except Mismatch as mismatch:
                problems.append(f"{row['candid']}: {mismatch}")
            extra = set(values) ^ set(kept)
            if extra:
                problems.append(f"{row['candid']}: columns {sorted(extra)} are too many or too few")
    found = {}
    for path in glob.glob(f"{output}/**/*.avro", recursive=True):
        with open(path, "rb") as file:
            schema, records = read_container(file.read())
        found |= {record["candid"]: record for record in records}
    if set(found) != set(sent):
        problems.append(f"published {len(found)} alerts, expected {len(sent)}")
    for candid in set(found) & set(sent):
        if any(found[candid][name] != value for name, value in sent[candid].items()):
            problems.append(f"{candid}: the published alert differs from its packet")
    finish(problems, rows=rows, passed=passed, sent=len(found))


main()
