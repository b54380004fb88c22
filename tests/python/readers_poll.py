"""readers_poll.py WORK ARCHIVE: pyarrow, polars and DuckDB, each in its thread, ask an archive for all of its rows again and again
while it is written, until WORK/done is there, then once more. WORK/ready-poll says that each has asked once.

What they have seen once they see again, no row twice, and every file is whole at first sight: all of its columns are read."""

import glob
import pathlib
import sys
import threading
import time
import traceback

import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet

from packets import finish

NAMES = ["topic", "partition", "offset", "record"]


def by_pyarrow(archive):
    """Origins of all rows, and the sum of a column of the survey."""
    files = pyarrow.dataset.dataset(archive, partitioning="hive")
    fields = {name: pyarrow.dataset.field("skysluice", name) for name in NAMES}
    table = files.to_table(columns={**fields, "jd": pyarrow.dataset.field("candidate", "jd")})
    return list(zip(*(table[name].to_pylist() for name in NAMES))), pyarrow.compute.min(table["jd"]).as_py()


def by_polars(archive):
    """As by_pyarrow."""
    scan = polars.scan_parquet(f"{archive}/**/*.parquet", hive_partitioning=True)
    fields = [polars.col("skysluice").struct.field(name) for name in NAMES]
    table = scan.select(*fields, polars.col("candidate").struct.field("jd")).collect()
    return table.select(NAMES).rows(), table["jd"].min()


def by_duckdb(archive):
    """As by_pyarrow."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        fields = ", ".join(f"skysluice.{name}" for name in NAMES)
        source = f"read_parquet('{archive}/**/*.parquet', hive_partitioning = true, union_by_name = true)"
        rows = connection.execute(f"SELECT {fields}, candidate.jd FROM {source}").fetchall()
    return [row[:4] for row in rows], min(row[4] for row in rows)


class Poller(threading.Thread):
    """Asks until the end."""

    def __init__(self, reader, archive, done):
        super().__init__(name=reader.__name__.removeprefix("by_"))
        self.reader, self.archive, self.done = reader, archive, done
        self.polls, self.sizes, self.problems, self.whole = 0, [], [], set()

    def run(self):
        seen = set()
        try:
            over = False
            while not over:
                over = self.done.exists()
                rows, time_of_first = self.reader(self.archive)
                now = set(rows)
                if len(now) != len(rows):
                    self.problems.append(f"{self.name}, poll {self.polls}: {len(rows)} rows of {len(now)} alerts")
                if not seen <= now:
                    self.problems.append(f"{self.name}, poll {self.polls}: {len(seen - now)} alerts are gone")
                if not 2.4e6 < time_of_first < 2.6e6:
                    self.problems.append(f"{self.name}, poll {self.polls}: the first time is {time_of_first}")
                seen = now
                if self.name == "pyarrow":
                    self.open_new()
                self.polls += 1
                self.sizes.append(len(seen))
                time.sleep(0.05)
        except Exception:
            self.problems.append(f"{self.name}, poll {self.polls}: {traceback.format_exc(limit=-4)}")
            self.polls = max(self.polls, 1)

    def open_new(self):
        for file in set(glob.glob(f"{self.archive}/**/*", recursive=True)) - self.whole:
            if pathlib.Path(file).is_file():
                if not file.endswith(".parquet"):
                    self.problems.append(f"{file} is no archived file")
                parquet = pyarrow.parquet.ParquetFile(file)
                for number in range(parquet.num_row_groups):
                    parquet.read_row_group(number)
                self.whole.add(file)


def main():
    work, archive = sys.argv[1:]
    done = pathlib.Path(f"{work}/done")
    pollers = [Poller(reader, archive, done) for reader in (by_pyarrow, by_polars, by_duckdb)]
    for poller in pollers:
        poller.start()
    while not all(poller.polls for poller in pollers):
        time.sleep(0.05)
    pathlib.Path(f"{work}/ready-poll").touch()
    for poller in pollers:
        poller.join()
    told = {p.name: {"polls": p.polls, "sizes": len(set(p.sizes)), "rows": p.sizes[-1] if p.sizes else 0} for p in pollers}
    finish([problem for p in pollers for problem in p.problems], files=len(pollers[0].whole), **told)


main()
