"""read_hours.py ARCHIVE LAYOUT: rows of each hour of an archive in Parquet, as [year, month, day, hour, rows], by pyarrow and
by DuckDB, which have to agree. LAYOUT is `hive` (the readers find the names and types themselves) or `plain`."""

import collections
import sys

import duckdb
import pyarrow
import pyarrow.dataset

from packets import finish

NAMES = ["year", "month", "day", "hour"]


def main():
    archive, layout = sys.argv[1:]
    problems = []
    numbers = pyarrow.schema([(name, pyarrow.int32()) for name in NAMES])
    partitioning = "hive" if layout == "hive" else pyarrow.dataset.partitioning(numbers)
    dataset = pyarrow.dataset.dataset(archive, partitioning=partitioning)
    for name in NAMES:
        if not pyarrow.types.is_integer(dataset.schema.field(name).type):
            problems.append(f"pyarrow takes {name} for {dataset.schema.field(name).type}")
    columns = dataset.to_table(columns=NAMES).to_pydict()
    found = sorted([*hour, n] for hour, n in collections.Counter(zip(*(columns[name] for name in NAMES))).items())
    if layout == "hive":
        query = "SELECT year, month, day, hour, count(*), typeof(any_value(year)) FROM read_parquet(?, hive_partitioning = true)"
    else:
        part = lambda i: f"CAST(split_part(filename, '/', -{i}) AS INT) AS p{i}"
        query = f"SELECT {part(5)}, {part(4)}, {part(3)}, {part(2)}, count(*), 'BIGINT' FROM read_parquet(?, filename = true)"
    rows = duckdb.execute(f"{query} GROUP BY ALL", [f"{archive}/**/*.parquet"]).fetchall()
    if any(row[5] != "BIGINT" for row in rows):
        problems.append(f"DuckDB takes the year for {sorted({row[5] for row in rows})}")
    if sorted(list(row[:5]) for row in rows) != found:
        problems.append(f"DuckDB finds {rows}, pyarrow {found}")
    finish(problems, hours=found)


main()
