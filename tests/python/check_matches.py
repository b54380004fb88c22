"""What `skysluice catalog match` wrote, against astropy on tables that are read here by other means.

check_matches.py CATALOGUES JOB...   a JOB is FILE;LEFT;RIGHT[,RIGHT...];ARCSEC;all|nearest|unmatched
"""

import collections
import csv
import json
import sys

import astropy.units as u
import numpy
import pyarrow.csv
import pyarrow.parquet
from astropy.coordinates import SkyCoord
from astropy.io import fits

# Arcseconds by which two ways to compute a separation may differ; closer than that to the edge either answer is right.
TOLERANCE = 1e-6

Table = collections.namedtuple("Table", "ids rows sky columns")


def blazars(folder):
    with open(f"{folder}/3hsp.csv", encoding="utf-8", newline="") as file:
        lines = [[cell.strip().strip('"').strip() for cell in line] for line in csv.reader(file, skipinitialspace=True) if line]
    head, lines = lines[0], lines[1:]
    column = lambda name: [line[head.index(name)] for line in lines]
    sky = SkyCoord(column("R.A."), column("Dec"), unit=(u.hourangle, u.deg))
    carried = {"figure_of_merit": [float(v) if v else None for v in column("FOM")], "fermi": column("γ-ray counterpart")}
    return Table(column("3HSP Source name"), list(range(1, len(lines) + 1)), sky, carried)


def variables(folder):
    table = pyarrow.parquet.read_table(f"{folder}/gcvs.parquet").to_pydict()
    good = [i for i, p in enumerate(zip(table["ra"], table["dec"])) if None not in p and numpy.isfinite(p).all()]
    sky = SkyCoord([table["ra"][i] for i in good] * u.deg, [table["dec"][i] for i in good] * u.deg)
    rows = [i + 1 for i in good]
    return Table([str(row) for row in rows], rows, sky, {"type": [table["VarType"][i] for i in good]})


def galaxies(folder):
    table = fits.getdata(f"{folder}/table-4LAC-DR3-l.fits", 1)
    ra, dec = table["RA_Counterpart"].astype(float), table["DEC_Counterpart"].astype(float)
    good = numpy.flatnonzero(numpy.isfinite(ra) & numpy.isfinite(dec) & (abs(dec) <= 90) & (ra >= -180) & (ra <= 360))
    text = lambda name: [str(v).strip() for v in table[name][good]]
    columns = {"class": text("CLASS"), "redshift": [float(v) for v in table["Redshift"][good]]}
    return Table(text("Source_Name"), [int(i) + 1 for i in good], SkyCoord(ra[good] * u.deg, dec[good] * u.deg), columns)


READERS = {"3hsp": blazars, "gcvs": variables, "4lac-dr3": galaxies}


def same(got, expected):
    """Of a carried column: texts without blanks at their ends, what is missing as none, single precision as it is rounded."""
    text = lambda value: value.strip() if isinstance(value, str) else value
    missing = lambda value: value is None or value == "" or (isinstance(value, float) and numpy.isnan(value))
    got, expected = text(got), text(expected)
    if missing(got) or missing(expected):
        return missing(got) and missing(expected)
    if isinstance(expected, float):
        return numpy.isclose(float(got), expected, rtol=1e-6)
    return str(got) == str(expected)


def read(path):
    if path.endswith(".parquet"):
        return pyarrow.parquet.read_table(path).to_pylist()
    # `NA` is a kind of nova.
    options = pyarrow.csv.ConvertOptions(column_types={"id": "string", "sourceid": "string"}, strings_can_be_null=True, null_values=[""])
    return pyarrow.csv.read_csv(path, convert_options=options).to_pylist()


def check(tables, path, left, rights, arcsec, mode):
    radius = float(arcsec)
    asked, found = tables[left], read(path)
    at = {row: i for i, row in enumerate(asked.rows)}
    order = [(line["row"], rights.index(line["catalogid"]) if line["catalogid"] else 0, line["distance"] or 0.0) for line in found]
    assert order == sorted(order), f"{path}: rows are not by input row, catalogue, distance"
    for line in found:
        i = at[line["row"]]
        assert str(line["id"]) == asked.ids[i], f"{path}: row {line['row']} is {asked.ids[i]}, not {line['id']}"
    assert found, f"{path} is empty"
    here = SkyCoord([line["ra"] for line in found] * u.deg, [line["dec"] for line in found] * u.deg)
    off = here.separation(asked.sky[[at[line["row"]] for line in found]]).arcsec.max()
    assert off < 1e-6, f"{path}: positions of the input are {off} arcseconds off"
    pairs, matched = 0, set()
    for right in rights:
        known = tables[right]
        place = collections.defaultdict(list)
        for i, name in enumerate(known.ids):
            place[name].append(i)
        lines = [line for line in found if line["catalogid"] == right]
        # By input and id; a name that is used twice is told by its position.
        got = {}
        for line in lines:
            there = place[line["sourceid"]]
            if len(there) > 1:
                spot = SkyCoord(line["sourcera"] * u.deg, line["sourcedec"] * u.deg)
                there = [there[int(spot.separation(known.sky[there]).argmin())]]
            key = (at[line["row"]], there[0])
            assert key not in got, f"{path}: {key} is there twice"
            got[key] = line
        if mode == "nearest":
            index, distance, _ = asked.sky.match_to_catalog_sky(known.sky)
            expected = {(i, int(k)): d for i, (k, d) in enumerate(zip(index, distance.arcsec)) if d < radius + TOLERANCE}
            nearest = {i: d for (i, _), d in expected.items()}
            assert {i for i, _ in got} == {i for (i, _), d in expected.items()}, f"{path}: {right}: others have a neighbour"
            assert len(got) == len(expected)
            for (i, _), line in got.items():
                assert abs(line["distance"] - nearest[i]) < TOLERANCE
            # Of two at the same distance either is the nearest.
            got = {key: line for key, line in got.items() if key in expected}
            assert len(got) >= len(expected) - 2
        else:
            i, k, distance, _ = known.sky.search_around_sky(asked.sky, (radius + 2 * TOLERANCE) * u.arcsec)
            expected = dict(zip(zip(i.tolist(), k.tolist()), distance.arcsec.tolist()))
            for key, d in expected.items():
                assert key in got or d > radius - TOLERANCE, f"{path}: {right}: {key} at {d} is missing"
            for key in got:
                assert key in expected, f"{path}: {right}: {key} is not what astropy finds"
        for (i, k), line in got.items():
            assert abs(line["distance"] - expected[i, k]) < TOLERANCE, f"{path}: {line['distance']} is {expected[i, k]}"
            for name, values in known.columns.items():
                assert same(line[f"{right}_{name}"], values[k]), f"{path}: {right}_{name} of {i}: {line[f'{right}_{name}']}, {values[k]}"
            for other in rights:
                others = [v for c, v in line.items() if c.startswith(f"{other}_")] if other != right else []
                assert all(v is None or v == "" for v in others), f"{path}: columns of {other} in a match with {right}"
        pairs += len(got)
        matched |= {i for i, _ in got}
    alone = {at[line["row"]] for line in found if not line["catalogid"]}
    assert alone == (set(range(len(asked.ids))) - matched if mode == "unmatched" else set()), f"{path}: {len(alone)} without a match"
    return {"file": path.rsplit("/", 1)[-1], "pairs": pairs, "alone": len(alone), "positions": len(asked.ids)}


folder, *jobs = sys.argv[1:]
tables = {name: reader(folder) for name, reader in READERS.items()}
results = []
for job in jobs:
    path, left, rights, arcsec, mode = job.split(";")
    results.append(check(tables, path, left, rights.split(","), arcsec, mode))
print(json.dumps({"jobs": results, "sizes": {name: len(table.ids) for name, table in tables.items()}}))
