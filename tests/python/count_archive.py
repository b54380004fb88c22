"""count_archive.py ARCHIVE EXPECTED: every (topic, partition, offset) exactly once, counted by DuckDB.
EXPECTED: {"ranges": {topic: [[low, high], ...by partition]}, "dead": [[partition, offset], ...], "either": [...]}; what is in
"either" may be there or not."""

import json
import sys

import duckdb

from packets import finish


def main():
    archive, expected_file = sys.argv[1:]
    with open(expected_file) as file:
        given = json.load(file)
    dead = {tuple(d) for d in given["dead"]}
    expected = {
        (topic, partition, offset)
        for topic, ranges in given["ranges"].items()
        for partition, (low, high) in enumerate(ranges)
        for offset in range(low, high)
        if (partition, offset) not in dead
    }
    pattern = f"{archive}/**/*.parquet"
    if not duckdb.execute("SELECT count(*) FROM glob(?)", [pattern]).fetchone()[0]:
        rows = []
    else:
        rows = duckdb.execute(
            "SELECT skysluice.topic, skysluice.partition, skysluice.offset, skysluice.record, count(*) "
            "FROM read_parquet(?, hive_partitioning = true, union_by_name = true) GROUP BY ALL",
            [pattern],
        ).fetchall()
    found = {row[:3] for row in rows}
    either = {tuple(e) for e in given.get("either", [])}
    missing = sorted(row for row in expected - found if row[1:] not in either)
    extra = sorted(found - expected)
    twice = sorted(row for row in rows if row[4] > 1)
    problems = [f"{len(missing)} alerts are missing in the archive, first {missing[:20]}"] if missing else []
    problems += [f"{len(twice)} alerts are in the archive more than once, first {twice[:20]}"] if twice else []
    problems += [f"{len(extra)} alerts are in the archive that should not be, first {extra[:20]}"] if extra else []
    finish(problems, rows=sum(row[4] for row in rows), missing=len(missing), twice=len(twice), extra=len(extra))


main()
