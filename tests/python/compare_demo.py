"""compare_demo.py DIR: the archive that the demo has written (DIR/archive), read by pyarrow and counted by DuckDB, against its
Avro output (DIR/output/TOPIC/*.avro), read by fastavro. Outputs whose name ends in `matched` hold the alerts with matches."""

import glob
import gzip
import io
import math
import os
import sys

import duckdb
import pyarrow.parquet
from astropy.io import fits

from packets import Comparer, Mismatch, finish, read_container

STAMPS = ["cutoutScience", "cutoutTemplate", "cutoutDifference"]


def open_stamp(stamp):
    """The picture of a stamp."""
    with fits.open(io.BytesIO(gzip.decompress(stamp["stampData"]))) as file:
        return file[0].data


def same(a, b):
    """Whether two annotations are the same."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def main():
    folder = sys.argv[1]
    pattern = f"{folder}/archive/**/*.parquet"
    count = lambda condition: duckdb.execute(
        f"SELECT count(*) FROM read_parquet(?, hive_partitioning = true, union_by_name = true) WHERE {condition}", [pattern]
    ).fetchone()[0]
    problems = []
    rows = {}
    for file in sorted(glob.glob(pattern, recursive=True)):
        for row in pyarrow.parquet.ParquetFile(file).read().to_pylist():
            if rows.setdefault(row["candid"], row) is not row:
                problems.append(f"candid {row['candid']} is archived twice")
    if len(rows) != count("true"):
        problems.append(f"{len(rows)} rows by pyarrow, {count('true')} by DuckDB")
    topics = sorted(os.listdir(f"{folder}/output"))
    if not topics:
        problems.append(f"{folder}/output is empty")
    fields, outputs = 0, {}
    for topic in topics:
        seen = set()
        for file in sorted(glob.glob(f"{folder}/output/{topic}/*.avro")):
            with open(file, "rb") as opened:
                schema, records = read_container(opened.read())
            own = [f for f in schema["fields"] if f["name"] not in ("matches", "crossmatches", "catalogs")]
            comparer = Comparer({**schema, "fields": own}, arrow=True)
            for record in records:
                row = rows.get(record["candid"])
                if row is None or record["candid"] in seen:
                    problems.append(f"{topic}: candid {record['candid']} is {'not archived' if row is None else 'there twice'}")
                    continue
                seen.add(record["candid"])
                try:
                    comparer.record({f["name"]: record[f["name"]] for f in own}, row)
                except Mismatch as mismatch:
                    problems.append(f"{topic} {record['candid']}: {mismatch}")
                for name in ("matches", "crossmatches", "catalogs"):
                    if name in record and not same(record[name], row[name]):
                        problems.append(f"{topic} {record['candid']}: {name} {record[name]} there, {row[name]} archived")
            fields += comparer.fields
        condition = "skysluice.passed" + (" AND matches > 0" if topic.endswith("matched") else "")
        outputs[topic] = len(seen)
        if len(seen) != count(condition):
            problems.append(f"{topic}: {len(seen)} alerts, but {count(condition)} rows of the archive have {condition}")
    stamps = 0
    for row in list(rows.values())[:: max(1, len(rows) // 100)]:
        for name in STAMPS:
            picture = open_stamp(row[name])
            stamps += 1
            if picture.shape != (63, 63):
                problems.append(f"candid {row['candid']}: {name} is {picture.shape}")
    if rows and not stamps:
        problems.append("no stamp was looked at")
    finish(problems, rows=len(rows), outputs=outputs, fields=fields, stamps=stamps)


main()
