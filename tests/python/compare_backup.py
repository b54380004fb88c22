"""compare_backup.py BACKUP [--packets FOLDER] [--archive ARCHIVE]: every Avro file of a backup, read by fastavro: as many
records as its header says, of ranges that no other file of the same hour and schema has too. With --packets: the records are
those of the packets, value by value. With --archive (ZTF): hour by hour as many as pyarrow finds there, of the same candids,
none twice."""

import argparse
import collections
import glob
import hashlib
import io
import json
import os

import fastavro
import pyarrow.dataset

from packets import finish, read_container


def digest(schema, record):
    """A record by its bytes, as fastavro writes them."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return hashlib.sha256(out.getvalue()).hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backup")
    parser.add_argument("--packets")
    parser.add_argument("--archive")
    given = parser.parse_args()
    problems, taken, codecs = [], {}, collections.Counter()
    digests, candids, hours = collections.Counter(), collections.Counter(), collections.Counter()
    for path in sorted(glob.glob(f"{given.backup}/**/*.avro", recursive=True)):
        hour = os.path.relpath(os.path.dirname(path), given.backup)
        with open(path, "rb") as file:
            reader = fastavro.reader(file)
            header = reader.metadata
            schema = fastavro.parse_schema(json.loads(header["avro.schema"]))
            count = 0
            for record in reader:
                count += 1
                candids[record.get("candid")] += 1
                if given.packets:
                    digests[digest(schema, record)] += 1
        codecs[header["avro.codec"]] += 1
        hours[hour] += count
        ranges = json.loads(header["skysluice.ranges"])
        told = sum(r["rows"] for r in ranges)
        if told != count:
            problems.append(f"{path}: {count} records, {told} by its header")
        if int(header["skysluice.bytes"]) != os.path.getsize(path):
            problems.append(f"{path}: {os.path.getsize(path)} bytes, {header['skysluice.bytes']} by its header")
        for r in ranges:
            others = taken.setdefault((hour, header["skysluice.fingerprint"], r["topic"], r["partition"]), [])
            for first, last, other in others:
                if r["first"] <= last and first <= r["last"]:
                    problems.append(f"{path}: {r} overlaps {first} to {last} of {other}")
            others.append((r["first"], r["last"], path))
    rows = sum(hours.values())
    if given.packets:
        sent = collections.Counter()
        for path in glob.glob(f"{given.packets}/**/*.avro", recursive=True):
            with open(path, "rb") as file:
                schema, records = read_container(file.read())
            parsed = fastavro.parse_schema(schema)
            sent.update(digest(parsed, record) for record in records)
        if sent != digests:
            problems.append(f"{(sent - digests).total()} records that were sent are missing, {(digests - sent).total()} are too many")
    if given.archive:
        dataset = pyarrow.dataset.dataset(given.archive, partitioning="hive")
        archived = dataset.to_table(columns=["candid"]).column("candid").to_pylist()
        if len(archived) != rows:
            problems.append(f"{rows} records in the backup, {len(archived)} rows in the archive")
        for name, found in (("backup", candids), ("archive", collections.Counter(archived))):
            twice = [candid for candid, n in found.items() if n > 1]
            if twice:
                problems.append(f"{len(twice)} alerts are in the {name} more than once: {twice[:20]}")
        if set(archived) != set(candids):
            problems.append(f"{len(set(archived) ^ set(candids))} alerts are in one of archive and backup alone")
        for hour, count in hours.items():
            there = pyarrow.dataset.dataset(f"{given.archive}/{hour}").count_rows()
            if there != count:
                problems.append(f"{hour}: {count} records in the backup, {there} rows in the archive")
    finish(problems, rows=rows, distinct=len(candids), codecs=sorted(codecs))


main()
