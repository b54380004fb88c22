"""compare_archive.py ARCHIVE MANIFEST [--hour received]: every field of every archived row against the same packet read by
fastavro, and every packet archived exactly once. MANIFEST: [{topic, partition, offset, packet}, ...]."""

import argparse
import glob
import re

import pyarrow.dataset
import pyarrow.parquet

from packets import Comparer, Mismatch, Packets, finish

ADDED = {"skysluice", "matches", "crossmatches", "catalogs"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive")
    parser.add_argument("manifest")
    parser.add_argument("--hour", choices=["received"])
    given = parser.parse_args()
    packets = Packets(given.manifest)
    problems, seen = [], {}
    rows = fields = flagged = 0
    files = sorted(glob.glob(f"{given.archive}/**/*.parquet", recursive=True))
    for file in files:
        parquet = pyarrow.parquet.ParquetFile(file)
        hour = re.search(r"/year=(\d+)/month=([1-9]\d*)/day=([1-9]\d*)/hour=(0|[1-9]\d*)/[^/]*$", file)
        if not hour:
            problems.append(f"{file}: not in year=/month=/day=/hour= without leading zeros")
        for row in parquet.read().to_pylist():
            own = row["skysluice"]
            origin = (own["topic"], own["partition"], own["offset"])
            seen.setdefault((*origin, own["record"]), []).append(file)
            rows += 1
            flagged += own["flags"] is not None
            where = f"{origin} record {own['record']}"
            if origin not in packets.paths:
                problems.append(f"{where}: no such message was sent")
                continue
            received = own["received"]
            if given.hour and hour and [received.year, received.month, received.day, received.hour] != [int(g) for g in hour.groups()]:
                problems.append(f"{where}: received {received}, but in {file}")
            schema, records = packets.get(origin)
            comparer = Comparer(schema, arrow=True)
            if own["record"] >= len(records):
                problems.append(f"{where}: the packet has {len(records)} records")
                continue
            extra = set(row) - {f["name"] for f in schema["fields"]} - ADDED
            if extra:
                problems.append(f"{where}: columns that are not in the packet: {sorted(extra)}")
            try:
                comparer.record(records[own["record"]], row)
            except Mismatch as mismatch:
                problems.append(f"{where} ({packets.paths[origin]}): {mismatch}")
            fields += comparer.fields
    expected = {(*o, r) for o in packets.paths for r in range(len(packets.get(o)[1]))}
    missing = sorted(expected - set(seen))
    twice = sorted(k for k, v in seen.items() if len(v) > 1)
    problems += [f"{m} ({packets.paths[m[:3]]}): missing in the archive" for m in missing]
    problems += [f"{t}: archived {len(seen[t])} times" for t in twice]
    if files:
        whole = pyarrow.dataset.dataset(given.archive, partitioning="hive").count_rows()
        if whole != rows:
            problems.append(f"{whole} rows as a dataset, {rows} file by file")
    missing = [{"topic": m[0], "partition": m[1], "offset": m[2], "packet": packets.paths[m[:3]]} for m in missing]
    finish(problems, files=len(files), rows=rows, fields=fields, flagged=flagged, missing=missing, twice=len(twice))


main()
