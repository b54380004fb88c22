"""What the archive takes of space: bytes an alert, against the packets and against the same rows as pyarrow writes them.

    python benches/space.py ARCHIVE [--packets FOLDER] [--groups ROWS]

ARCHIVE is the root of an archive; a run with the source `simulator` or over a folder of packets makes one. Its rows are written
again in the same order with pyarrow's defaults (snappy, dictionaries everywhere), and with zstd in place of snappy. Cut-outs are
the columns of bytes. FOLDER has the packets (object containers), or others like them; with their schema, as they are sent."""

import argparse
import glob
import os
import tempfile

import fastavro
import pyarrow
import pyarrow.parquet


def bytes_of(parquet):
    """Compressed size of all columns of bytes."""
    metadata, cutouts = parquet.metadata, 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = parquet.schema.column(index)
            if column.physical_type == "BYTE_ARRAY" and column.logical_type.type == "NONE":
                cutouts += metadata.row_group(group).column(index).total_compressed_size
    return cutouts


def bytes_in(value):
    """Bytes in a record."""
    if isinstance(value, bytes):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return sum(map(bytes_in, parts))


def packets(folder):
    """Sizes of packets, whole and without their cut-outs."""
    for path in glob.glob(f"{folder}/*.avro"):
        with open(path, "rb") as file:
            cutouts = sum(map(bytes_in, fastavro.reader(file)))
        yield os.path.getsize(path), os.path.getsize(path) - cutouts


def written(parquet, compression, rows):
    """The rows as pyarrow writes them: bytes of the file, and of its columns of bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/again.parquet"
        with pyarrow.parquet.ParquetWriter(path, parquet.schema_arrow.remove_metadata(), compression=compression) as writer:
            for group in range(parquet.num_row_groups):
                writer.write_table(parquet.read_row_group(group).replace_schema_metadata(), row_group_size=rows)
        return os.path.getsize(path), bytes_of(pyarrow.parquet.ParquetFile(path))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive")
    parser.add_argument("--packets")
    parser.add_argument("--groups", type=int, help="rows of a row group that pyarrow writes; default: as in the archive")
    given = parser.parse_args()
    files = sorted(glob.glob(f"{given.archive}/**/*.parquet", recursive=True))
    kinds = {"archive": [0, 0], "pyarrow, snappy": [0, 0], "pyarrow, zstd": [0, 0]}
    alerts = groups = 0
    for file in files:
        parquet = pyarrow.parquet.ParquetFile(file)
        alerts += parquet.metadata.num_rows
        groups += parquet.num_row_groups
        sizes = [(os.path.getsize(file), bytes_of(parquet))]
        sizes += [written(parquet, codec, given.groups) for codec in ("snappy", "zstd")]
        for kind, (size, cutouts) in zip(kinds.values(), sizes):
            kind[0] += size
            kind[1] += size - cutouts
    print(f"{alerts} alerts, {len(files)} files, {groups} row groups; bytes an alert")
    print(f"{'':20}{'whole':>12}{'without cut-outs':>20}")
    if given.packets:
        sizes = list(packets(given.packets))
        whole, without = (sum(column) / len(sizes) for column in zip(*sizes))
        print(f"{'packets':20}{whole:12.0f}{without:20.0f}")
    for name, (whole, without) in kinds.items():
        print(f"{name:20}{whole / alerts:12.0f}{without / alerts:20.0f}")


main()
