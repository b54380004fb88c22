"""readers_batch.py ROOTS EXPECTED: pyarrow, polars and DuckDB open the archives ROOTS/ztf and ROOTS/lsst, each as one table of
all schema versions, and answer with their own functions what the packets say (see readers_common)."""

import glob
import hashlib
import sys

import duckdb
import polars
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet

from packets import finish
from readers_common import HOUR, SURVEYS, compare, count, load


def by_pyarrow(root):
    """Rows, types of the hour, columns and counts by hour."""
    files = pyarrow.dataset.dataset(root, partitioning="hive")
    schemas = [fragment.physical_schema for fragment in files.get_fragments()]
    # The parts of the path are columns too.
    merged = pyarrow.unify_schemas([relaxed(s) for s in [files.schema, *schemas]], promote_options="permissive")
    table = pyarrow.dataset.dataset(root, partitioning="hive", schema=merged)

    def column(data, path):
        first, *rest = path.split(".")
        return pyarrow.compute.struct_field(data[first], rest).combine_chunks() if rest else data[first].combine_chunks()

    def ask(data, question):
        kind, path, *item = question
        values = column(data, path)
        if kind == "value":
            return values.to_pylist()
        if kind == "ms":
            return values.cast(pyarrow.timestamp("ms", "UTC")).cast(pyarrow.int64()).to_pylist()
        if kind == "count":
            return pyarrow.compute.list_value_length(values).to_pylist()
        if kind == "length":
            return pyarrow.compute.binary_length(values).to_pylist()
        if kind == "sha256":
            return [None if v is None else hashlib.sha256(v).hexdigest() for v in values.to_pylist()]
        items = pyarrow.compute.struct_field(pyarrow.compute.list_flatten(values), item[0]).cast(pyarrow.float64())
        of = pyarrow.compute.list_parent_indices(values)
        sums = pyarrow.table({"of": of, "item": items}).group_by("of").aggregate([("item", "sum")]).to_pydict()
        by_row = dict(zip(sums["of"], sums["item_sum"]))
        return [by_row.get(i, 0.0) if there else None for i, there in enumerate(values.is_valid().to_pylist())]

    survey = root.rsplit("/", 1)[1]
    data = table.to_table()
    answers = {name: ask(data, question) for name, question in SURVEYS[survey].items()}
    answers |= {name: data[name].to_pylist() for name in HOUR}
    rows = [dict(zip(answers, row)) for row in zip(*answers.values())]
    types = all(pyarrow.types.is_integer(table.schema.field(name).type) for name in HOUR)
    hours = data.group_by(HOUR).aggregate([([], "count_all")]).to_pylist()
    one = table.count_rows(filter=(pyarrow.dataset.field("month") == 10) & (pyarrow.dataset.field("hour") == 11))
    return rows, types, {tuple(h[n] for n in HOUR): h["count_all"] for h in hours}, one


def relaxed(schema):
    """The schema with all fields nullable: what a version requires is null in the rows of those that don't have it."""
    def field(f):
        return pyarrow.field(f.name, kind(f.type), nullable=True)

    def kind(t):
        if pyarrow.types.is_struct(t):
            return pyarrow.struct([field(t.field(i)) for i in range(t.num_fields)])
        return pyarrow.list_(field(t.value_field)) if pyarrow.types.is_list(t) else t

    return pyarrow.schema([field(f) for f in schema])


def by_polars(root):
    """As by_pyarrow."""
    files = sorted(glob.glob(f"{root}/**/*.parquet", recursive=True))
    # The schema of one file is that of the scan, so they are merged first: fields of structs too.
    merged = merge([polars.read_parquet_schema(file) for file in files])
    cast = polars.ScanCastOptions(missing_struct_fields="insert", extra_struct_fields="ignore")
    scan = polars.scan_parquet(
        f"{root}/**/*.parquet", hive_partitioning=True, schema=merged, missing_columns="insert", cast_options=cast
    )

    def ask(question):
        kind, path, *item = question
        first, *rest = path.split(".")
        values = polars.col(first)
        for name in rest:
            values = values.struct.field(name)
        if kind == "ms":
            return values.dt.epoch("ms")
        if kind == "count":
            return values.list.len().cast(polars.Int64)
        if kind == "length":
            return values.bin.size().cast(polars.Int64)
        if kind == "sum":
            return values.list.eval(polars.element().struct.field(item[0]).cast(polars.Float64)).list.sum()
        return values

    survey = root.rsplit("/", 1)[1]
    questions = {name: ask(question).alias(name) for name, question in SURVEYS[survey].items()}
    rows = scan.select(*questions.values(), *HOUR).collect().to_dicts()
    for row in rows:
        row["stamp_sha256"] = None if row["stamp_sha256"] is None else hashlib.sha256(row["stamp_sha256"]).hexdigest()
    schema = scan.collect_schema()
    hours = scan.group_by(HOUR).len().collect().to_dicts()
    one = scan.filter((polars.col("month") == 10) & (polars.col("hour") == 11)).select(polars.len()).collect().item()
    return rows, all(schema[n].is_integer() for n in HOUR), {tuple(h[n] for n in HOUR): h["len"] for h in hours}, one


def merge(schemas):
    """One schema with the columns of all, and fields of structs likewise, in lists too."""
    def both(a, b):
        if isinstance(a, polars.Struct) and isinstance(b, polars.Struct):
            return polars.Struct(merge([{f.name: f.dtype for f in a.fields}, {f.name: f.dtype for f in b.fields}]))
        if isinstance(a, polars.List) and isinstance(b, polars.List):
            return polars.List(both(a.inner, b.inner))
        return b if a == polars.Null else a

    merged = {}
    for schema in schemas:
        for name, dtype in schema.items():
            merged[name] = both(merged[name], dtype) if name in merged else dtype
    return merged


def by_duckdb(root):
    """As by_pyarrow."""
    connection = duckdb.connect()
    source = f"read_parquet('{root}/**/*.parquet', hive_partitioning = true, union_by_name = true)"

    def ask(question):
        kind, path, *item = question
        return {
            "value": path,
            "ms": f"epoch_ms({path})",
            "count": f"len({path})",
            "length": f"octet_length({path})",
            "sha256": f"sha256({path})",
            "sum": f"CASE WHEN {path} IS NOT NULL THEN coalesce(list_sum(list_transform({path}, lambda x: x.{(item or [''])[0]}::DOUBLE)), 0) END",
        }[kind]

    survey = root.rsplit("/", 1)[1]
    questions = [f"{ask(question)} AS {name}_" for name, question in SURVEYS[survey].items()]
    answers = connection.execute(f"SELECT {', '.join(questions)}, {', '.join(HOUR)} FROM {source}")
    names = [d[0].removesuffix("_") for d in answers.description]
    rows = [dict(zip(names, row)) for row in answers.fetchall()]
    types = connection.execute(f"SELECT {', '.join(f'typeof({n})' for n in HOUR)} FROM {source} LIMIT 1").fetchone()
    hours = connection.execute(f"SELECT {', '.join(HOUR)}, count(*) FROM {source} GROUP BY ALL").fetchall()
    one = connection.execute(f"SELECT count(*) FROM {source} WHERE month = 10 AND hour = 11").fetchone()[0]
    return rows, set(types) <= {"BIGINT", "INTEGER"}, {h[:4]: h[4] for h in hours}, one


def main():
    roots, expected_file = sys.argv[1:]
    problems, compared = [], {}
    for survey, expected in load(expected_file).items():
        for reader in (by_pyarrow, by_polars, by_duckdb):
            name = reader.__name__.removeprefix("by_")
            rows, numeric, hours, one = reader(f"{roots}/{survey}")
            wrong, compared[f"{name} {survey}"] = compare(name, survey, expected, rows)
            problems += wrong
            if not numeric:
                problems.append(f"{name}, {survey}: the parts of the path are not whole numbers")
            if hours != count(expected, HOUR):
                problems.append(f"{name}, {survey}: rows by hour {hours}, not {count(expected, HOUR)}")
            if one != sum(e["month"] == 10 and e["hour"] == 11 for e in expected):
                problems.append(f"{name}, {survey}: {one} rows in hour 11 of October")
            if "version" in SURVEYS[survey] and count(rows, ["version"]) != count(expected, ["version"]):
                problems.append(f"{name}, {survey}: rows by version {count(rows, ['version'])}, not {count(expected, ['version'])}")
    finish(problems, compared=compared)


main()
