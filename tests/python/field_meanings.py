"""field_meanings.py ARCHIVE: what pyarrow is told of the fields of the first archived file, by path (lists have no name of
their own), and the keys of its footer."""

import glob
import json
import sys

import pyarrow
import pyarrow.parquet


def walk(field, path, out):
    metadata = {k.decode(): v.decode() for k, v in (field.metadata or {}).items() if k in (b"unit", b"doc")}
    if metadata:
        out[path] = metadata
    inside(field.type, path, out)


def inside(kind, path, out):
    if pyarrow.types.is_struct(kind):
        for i in range(kind.num_fields):
            walk(kind.field(i), f"{path}.{kind.field(i).name}", out)
    elif pyarrow.types.is_list(kind):
        inside(kind.value_type, path, out)


def main():
    file = sorted(glob.glob(f"{sys.argv[1]}/**/*.parquet", recursive=True))[0]
    schema = pyarrow.parquet.read_schema(file)
    fields = {}
    for field in schema:
        walk(field, field.name, fields)
    # As a user would ask for it.
    assert schema.field("candidate").type.field("ra").metadata[b"unit"] == b"deg"
    footer = pyarrow.parquet.ParquetFile(file).metadata.metadata
    footer = {k.decode(): v.decode() for k, v in footer.items() if k.startswith(b"skysluice.")}
    print(json.dumps({"fields": fields, "footer": footer}))


main()
