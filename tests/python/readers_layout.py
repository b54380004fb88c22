"""readers_layout.py ARCHIVE: rows of each row group lie in the order of their HEALPix cells, which are those that astropy_healpix
computes; statistics, page indexes and the Bloom filter of the object's id are there, and others leave out row groups by them."""

import glob
import sys

import astropy.units as u
import duckdb
import numpy
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet
from astropy_healpix import HEALPix

from packets import finish

CELL = "skysluice.healpix29"
# A filter has one in a thousand wrong when it is full; so many wrong ones in a row don't come about.
STRANGERS = [f"ZTF99nobody{i}" for i in range(8)]


def main():
    archive, = sys.argv[1:]
    problems = []
    grid = HEALPix(nside=2**29, order="nested")
    files = sorted(glob.glob(f"{archive}/**/*.parquet", recursive=True))
    groups, objects = [], []
    for file in files:
        parquet = pyarrow.parquet.ParquetFile(file)
        paths = [parquet.schema.column(i).path for i in range(len(parquet.schema))]
        for number in range(parquet.num_row_groups):
            rows = parquet.read_row_group(number, columns=["skysluice", "candidate", "objectId"])
            cells = pyarrow.compute.struct_field(rows["skysluice"], "healpix29").to_numpy()
            ra, dec = (pyarrow.compute.struct_field(rows["candidate"], name).to_numpy() for name in ("ra", "dec"))
            groups.append(cells)
            objects.append(set(rows["objectId"].to_pylist()))
            where = f"{file}, row group {number}"
            if (numpy.diff(cells) < 0).any():
                problems.append(f"{where}: rows are not in the order of their cells")
            wrong = cells != grid.lonlat_to_healpix(ra * u.deg, dec * u.deg)
            if wrong.any():
                problems.append(f"{where}: {wrong.sum()} cells of {len(cells)} are others than astropy_healpix says")
            chunk = parquet.metadata.row_group(number).column(paths.index(CELL))
            statistics = chunk.statistics
            if statistics is None or (statistics.min, statistics.max) != (cells.min(), cells.max()) or statistics.null_count != 0:
                problems.append(f"{where}: the statistics of the cells are {statistics}")
            if not (chunk.has_column_index and chunk.has_offset_index):
                problems.append(f"{where}: the pages of the cells have no index")
    # By the statistics of row groups: cells that only the first one of the sky has.
    low, second = sorted(int(cells.min()) for cells in groups)[:2]
    high = second - 1
    field = pyarrow.dataset.field("skysluice", "healpix29")
    near = (field >= low) & (field <= high)
    dataset = pyarrow.dataset.dataset(archive, partitioning="hive")
    read = sum(len(part.row_groups) for f in dataset.get_fragments() for part in f.split_by_row_group(near))
    if read != 1:
        problems.append(f"pyarrow reads {read} of {len(groups)} row groups for cells that one has")
    found = dataset.count_rows(filter=near)
    expected = sum(int(((cells >= low) & (cells <= high)).sum()) for cells in groups)
    if found != expected:
        problems.append(f"pyarrow finds {found} rows between {low} and {high}, there are {expected}")
    # By the Bloom filters.
    probed = left_out = 0
    connection = duckdb.connect()
    for name in [*(sorted(o)[0] for o in objects[:4]), *STRANGERS]:
        probe = "SELECT count(*), count(*) FILTER (bloom_filter_excludes) FROM parquet_bloom_probe(?, 'objectId', ?)"
        all_groups, excluded = connection.execute(probe, [f"{archive}/**/*.parquet", name]).fetchone()
        without = sum(name not in o for o in objects)
        probed, left_out = probed + without, left_out + excluded
        if all_groups != len(groups) or excluded > without:
            problems.append(f"{name} is in {len(groups) - without} of {len(groups)} row groups, the filters leave out {excluded}")
    if left_out < 0.9 * probed:
        problems.append(f"the Bloom filters leave out {left_out} of {probed} row groups that don't have an object")
    rows = sum(map(len, groups))
    finish(problems, files=len(files), rows=rows, row_groups=len(groups), read=read, found=found, left_out=[left_out, probed])


main()
