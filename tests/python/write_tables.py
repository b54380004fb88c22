"""write_tables.py OUT [DATA]: the same table written by astropy, pyarrow and by hand in every format that is read, real catalogues
as astropy, pyarrow and Python's csv read them, and positions in other frames as astropy turns them. Prints what is to be expected."""

import csv
import gzip
import io
import json
import math
import os
import sys
import warnings

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable.tree import CooSys, Field, Resource, TableElement, VOTableFile
from astropy.table import MaskedColumn, Table

warnings.filterwarnings("ignore")
ROWS = 257


def made():
    """Every type, extreme values, missing values, and texts with what delimiters and markup stumble over."""
    draw = np.random.default_rng(7)
    n = ROWS
    texts = ["plain", "a, b", 'say "hi"', "semi;colon", "bar|bar", "<&>", "two  blanks", "it's", "x" * 40, "tab\there"]
    hide = draw.random(n) < 0.2
    hide[0] = False
    table = Table()
    table["name"] = np.array([f"src {i}" for i in range(n)])
    table["source_id"] = draw.integers(-(2**63), 2**63 - 1, n, dtype=np.int64)
    table["source_id"][:2] = [2**63 - 1, -(2**63) + 1]
    table["ra"] = draw.uniform(0, 360, n)
    table["ra"].unit = "deg"
    table["ra"].description = "Right ascension, ICRS"
    table["dec"] = np.degrees(np.arcsin(draw.uniform(-1, 1, n)))
    table["dec"].unit = "deg"
    table["mag"] = MaskedColumn(draw.uniform(5, 25, n).astype(np.float32), mask=hide)
    table["mag"].unit = "mag"
    table["tiny"] = draw.integers(-30000, 30000, n).astype(np.int16)
    table["count"] = MaskedColumn(draw.integers(-(2**31) + 1, 2**31 - 1, n).astype(np.int32), mask=hide, fill_value=-(2**31))
    table["flag"] = draw.random(n) < 0.5
    table["byte"] = draw.integers(0, 255, n).astype(np.uint8)
    table["note"] = np.array([texts[i % len(texts)] for i in range(n)])
    table["wide"] = 10.0 ** draw.uniform(-300, 300, n) * np.where(draw.random(n) < 0.5, 1, -1)
    return table


def unsigned(table):
    """What not all formats have."""
    draw = np.random.default_rng(8)
    more = table.copy()
    for bits in (16, 32, 64):
        more[f"u{bits}"] = draw.integers(0, 2**bits - 1, ROWS, dtype=f"uint{bits}")
        more[f"u{bits}"][:2] = [2**bits - 1, 0]
    return more


def signed():
    """Bytes with a sign, which astropy writes as logicals unless told better."""
    return (np.arange(ROWS) - 128).clip(-128, 127).astype(np.int8)


def plain(value):
    """A value as JSON: none for what is missing or no number, whole numbers as texts, which JSON would round."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value)) if math.isfinite(value) else (None if math.isnan(value) else str(value))
    if isinstance(value, bytes):
        value = value.decode()
    return str(value).rstrip() or None


def columns(table):
    return {name: [plain(v) for v in table[name]] for name in table.colnames if table[name].ndim == 1 and table[name].dtype.kind != "O"}


class Written:
    def __init__(self, out):
        self.out, self.files = out, []

    def path(self, name):
        return os.path.join(self.out, name)

    def add(self, name, like, fmt, rows=True, **dialect):
        self.files.append({"file": name, "table": like, "format": fmt, "rows": rows, "dialect": dialect})


def write_fits(w, table):
    more = unsigned(table)
    hdu = fits.table_to_hdu(more)
    vector = fits.BinTableHDU.from_columns(
        list(hdu.columns)
        + [
            fits.Column("spectrum", "3E", array=np.zeros((ROWS, 3))),
            fits.Column("list", "PJ()", array=np.array([np.arange(i % 3) for i in range(ROWS)], dtype=object)),
            fits.Column("complex", "C", array=np.zeros(ROWS, complex)),
            fits.Column("i8", "B", bzero=-128, array=signed()),
            fits.Column("scaled", "I", array=np.arange(ROWS)),
        ],
        name="STARS",
    )
    image = fits.ImageHDU(np.zeros((77, 3), np.int16), name="PICTURE")
    other = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(5))], name="OTHER")
    fits.HDUList([fits.PrimaryHDU(np.ones((10, 10))), image, vector, other]).writeto(w.path("made.fits"))
    number = vector.columns.names.index("scaled") + 1
    for keyword, value in {"TSCAL": 0.01, "TZERO": 100.0}.items():
        fits.setval(w.path("made.fits"), f"{keyword}{number}", value=value, ext=2)
    with open(w.path("made.fits"), "rb") as plain_file, gzip.open(w.path("fits-gz.dat"), "wb") as packed:
        packed.write(plain_file.read())
    w.add("made.fits", "scaled", "fits")
    w.add("fits-gz.dat", "scaled", "fits", table="stars")
    more.write(w.path("simple.fits"))
    w.add("simple.fits", "more", "fits", table="1")


def write_votable(w, table):
    whole = table.copy()
    whole["count"] = whole["count"].filled(0)
    for fmt in ("tabledata", "binary", "binary2"):
        (whole if fmt == "binary" else table).write(w.path(f"{fmt}.vot"), format="votable", table_id="stars", tabledata_format=fmt)
        # BINARY has no sign for a missing integer.
        w.add(f"{fmt}.vot", "made" if fmt != "binary" else "unmasked", "votable", rows=False)
    with open(w.path("binary2.vot"), "rb") as file, gzip.open(w.path("binary2.vot.gz"), "wb") as packed:
        packed.write(file.read())
    w.add("binary2.vot.gz", "made", "votable", rows=False, table="stars")


def write_texts(w, table):
    table.write(w.path("made.ecsv"), format="ascii.ecsv")
    w.add("made.ecsv", "made", "csv")
    table.write(w.path("comma.ecsv"), format="ascii.ecsv", delimiter=",")
    w.add("comma.ecsv", "made", "csv")
    for name, delimiter in {"made.csv": ",", "made.tsv": "\t", "semicolon.txt": ";", "bar.dat": "|"}.items():
        table.write(w.path(name), format="ascii.csv", delimiter=delimiter, fast_writer=False)
        w.add(name, "made", "csv")
    lines = open(w.path("made.csv"), encoding="utf-8").read().split("\n")
    with open(w.path("windows.csv"), "w", encoding="utf-8-sig", newline="") as file:
        file.write("\r\n".join(lines))
    w.add("windows.csv", "made", "csv")
    # Members end in the middle of lines.
    text = "\n".join(lines).encode()
    with open(w.path("members.csv.gz"), "wb") as file:
        for start in range(0, len(text), 5000):
            file.write(gzip.compress(text[start : start + 5000]))
    w.add("members.csv.gz", "made", "csv")
    with open(w.path("dated.csv"), "w") as file:
        file.write('"2026-11-01 00:00:00 - 2026-11-02 00:00:00"\n' + "\n".join(lines))
    w.add("dated.csv", "made", "csv", skip_lines=1)
    # As 2MASS: bars, no header, \N for nothing; names given.
    with open(w.path("psc.dat"), "w") as file:
        for row in table:
            cells = ["\\N" if row[c] is np.ma.masked else str(row[c]) for c in table.colnames]
            file.write("|".join('"' + c.replace('"', '""') + '"' if "|" in c or '"' in c else c for c in cells) + "\n")
    w.add("psc.dat", "made", "csv", header="none", names=table.colnames, delimiter="bar", comment="")
    # As STILTS writes "ascii": the header is a comment, columns are padded with blanks, texts are quoted.
    rows = [["" if v is np.ma.masked else str(v) for v in row] for row in table]
    quoted = [['"' + c.replace('"', '""') + '"' if c == "" or " " in c or '"' in c or "\t" in c else c for c in row] for row in rows]
    widths = [max(len(row[i]) for row in quoted + [table.colnames]) for i in range(len(table.colnames))]
    with open(w.path("stilts.txt"), "w") as file:
        file.write("# " + " ".join(c.ljust(s) for c, s in zip(table.colnames, widths)) + "\n")
        for row in quoted:
            file.write("  " + " ".join(c.ljust(s) for c, s in zip(row, widths)) + " \n")
    w.add("stilts.txt", "made", "csv", header="comment", delimiter="blanks")


def write_parquet(w, table):
    more = unsigned(table)
    more["i8"] = signed()
    arrow = pa.table({name: pa.array(np.asarray(more[name]), mask=np.ma.getmaskarray(more[name].data if hasattr(more[name], "mask") else np.asarray(more[name])), from_pandas=True) for name in more.colnames})
    pq.write_table(arrow, w.path("made.parquet"), row_group_size=100)
    w.add("made.parquet", "most", "parquet")

    def retyped(kind):
        fields = [pa.field(f.name, kind) if pa.types.is_string(f.type) else f for f in arrow.schema]
        return arrow.cast(pa.schema(fields))

    for name, kind in {"large": pa.large_string(), "view": pa.string_view(), "bytes": pa.binary()}.items():
        pq.write_table(retyped(kind), w.path(f"{name}.parquet"), compression="zstd")
        w.add(f"{name}.parquet", "most", "parquet")
    packed = arrow
    for i, field in enumerate(arrow.schema):
        if pa.types.is_string(field.type):
            packed = packed.set_column(i, field.name, arrow[field.name].dictionary_encode())
    nested = packed.append_column("list", pa.array([[1, 2]] * ROWS)).append_column("struct", pa.array([{"a": 1}] * ROWS))
    pq.write_table(nested, w.path("dictionary.parquet"), compression="gzip", use_dictionary=True)
    w.add("dictionary.parquet", "most", "parquet")
    table.write(w.path("astropy.parquet"), format="parquet")
    # What astropy masks it writes as two columns, which are told and not read.
    w.add("astropy.parquet", "never masked", "parquet")
    os.makedirs(w.path("folder"))
    for i, start in enumerate(range(0, ROWS, 20)):
        pq.write_table(arrow.slice(start, 20), w.path(f"folder/part-{i}.parquet"))
    w.add("folder", "most", "parquet")
    root = w.path("hats")
    tiles = [(0, 4, 0, 100), (1, 17, 100, 57), (2, 9, 157, 100), (2, 11, 257, 0)]
    for order, pixel, start, count in tiles:
        folder = f"{root}/dataset/Norder={order}/Dir={pixel // 10000 * 10000}"
        os.makedirs(folder, exist_ok=True)
        pq.write_table(arrow.slice(start, count), f"{folder}/Npix={pixel}.parquet")
    pq.write_metadata(arrow.schema, f"{root}/dataset/_common_metadata")
    pq.write_metadata(arrow.schema, f"{root}/dataset/_metadata")
    pq.write_table(arrow.slice(0, 3), f"{root}/dataset/../data_thumbnail.parquet")
    with open(f"{root}/partition_info.csv", "w") as file:
        file.write("Norder,Npix\n" + "".join(f"{o},{p}\n" for o, p, _, _ in tiles))
    with open(f"{root}/hats.properties", "w") as file:
        file.write(f"#HATS catalog\nobs_collection=made\ndataproduct_type=object\nhats_nrows={ROWS}\nhats_col_ra=ra\nhats_col_dec=dec\nhats_max_rows=100\n")
    w.add("hats", "most", "parquet")


def real(w, data, expected):
    """Catalogues of others, as readers of others read them."""
    folder = os.path.join(data, "catalogs")
    lac = os.path.join(folder, "table-4LAC-DR3-l.fits")
    expected["4lac"] = columns(Table.read(lac))
    w.files.append({"file": lac, "table": "4lac", "format": "fits", "rows": True, "dialect": {}})
    gcvs = os.path.join(folder, "gcvs.parquet")
    expected["gcvs"] = {c: [plain(v) for v in col.to_pylist()] for c, col in zip(*(lambda t: (t.column_names, t.columns))(pq.read_table(gcvs)))}
    w.files.append({"file": gcvs, "table": "gcvs", "format": "parquet", "rows": True, "dialect": {}})
    hsp = os.path.join(folder, "3hsp.csv")
    with open(hsp, newline="", encoding="utf-8") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file, skipinitialspace=True)]
    expected["3hsp"] = {name: [cell or None for cell in cells] for name, cells in zip(rows[0], zip(*rows[1:]))}
    w.files.append({"file": hsp, "table": "3hsp", "format": "csv", "rows": False, "dialect": {"nulls": []}})


def skies(expected):
    """Positions in other frames and dresses, and where astropy says they are."""
    draw = np.random.default_rng(9)
    lon, lat = draw.uniform(0, 360, 500), np.degrees(np.arcsin(draw.uniform(-1, 1, 500)))
    lon[:6], lat[:6] = [0, 0, 359.9999999, 180, 10, 266.4], [90, -90, 0, 0, 89.9999, -28.9]
    for frame in ("icrs", "fk5", "galactic"):
        there = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
        expected["frames"][frame] = [[repr(float(a)), repr(float(b)), float(r), float(d)] for a, b, r, d in zip(lon, lat, there.ra.deg, there.dec.deg)]
    there = SkyCoord(lon * u.deg, lat * u.deg)
    for name, sep in {"blanks": " ", "colons": ":", "letters": "hms"}.items():
        ra = there.ra.to_string(unit=u.hourangle, sep=sep, precision=8, pad=True)
        dec = there.dec.to_string(unit=u.deg, sep="dms" if sep == "hms" else sep, precision=7, alwayssign=True, pad=True)
        expected["frames"][name] = [[a, b, float(r), float(d)] for a, b, r, d in zip(ra, dec, lon, lat)]


def main():
    out, data = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    table = made()
    unmasked = table.copy()
    unmasked["count"] = unmasked["count"].filled(0)
    w = Written(out)
    expected = {"frames": {}}
    tables = {"made": columns(table), "more": columns(unsigned(table)), "unmasked": columns(unmasked)}
    tables["never masked"] = {name: cells for name, cells in tables["made"].items() if name not in ("mag", "count")}
    tables["most"] = tables["more"] | {"i8": [plain(v) for v in signed()]}
    tables["scaled"] = tables["most"] | {"scaled": [i * 0.01 + 100.0 for i in range(ROWS)]}
    write_fits(w, table)
    write_votable(w, table)
    write_texts(w, table)
    write_parquet(w, table)
    if data:
        real(w, data, tables)
    skies(expected)
    print(json.dumps({"tables": tables, "files": w.files, "frames": expected["frames"]}))


if __name__ == "__main__":
    main()
