"""list_archive.py ARCHIVE: where each row came from and what the steps said of it, by pyarrow, as JSON."""

import glob
import json
import sys

import pyarrow.parquet


def main():
    rows = []
    for file in glob.glob(f"{sys.argv[1]}/**/*.parquet", recursive=True):
        table = pyarrow.parquet.read_table(file, columns=["skysluice"], partitioning=None)
        rows += table.column("skysluice").to_pylist()
    for row in rows:
        row["received"] = None if row["received"] is None else row["received"].isoformat()
    rows.sort(key=lambda r: (r["topic"], r["partition"], r["offset"], r["record"]))
    print(json.dumps(rows))


main()
