"""crossmatch_others.py FOLDER: matches the positions that `cargo bench --bench crossmatch` has left in FOLDER against its catalogue by
what one would use without Skysluice, and prints for each the time of its process, nanoseconds a query, and what its set-up took.

FOLDER/rows is the catalogue, FOLDER/random, exposure and visit are queries in batches (right ascension and declination, degrees, f64),
FOLDER/about.json says how long a batch is and how many sources are within 1.5 arcseconds: what finds another number is said so.

Needs numpy, scipy, astropy and duckdb; SQLite comes with Python. With FOLDER/about.json's `rows` above two million, the databases are
left out: their set-up takes longer than everything else."""

import json
import os
import sqlite3
import sys
import time

import astropy.units as u
import duckdb
import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import cKDTree

RADIUS = 1.5
ARCSEC = np.pi / 180 / 3600
QUERIES = 200_000


def vectors(positions):
    ra, dec = np.radians(positions).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def separation(a, b):
    """Arcseconds, by vectors: exact enough where chords are short."""
    return 2 * np.arcsin(np.linalg.norm(vectors(a) - vectors(b), axis=1) / 2) / ARCSEC


def boxes(ra, dec):
    """Boxes around positions, those over RA 0 cut in two: query, west, east, south, north."""
    half = RADIUS / 3600
    wide = np.degrees(np.arcsin(np.minimum(1, np.sin(np.radians(half)) / np.maximum(np.cos(np.radians(dec)), 1e-9))))
    wide = np.where(np.abs(dec) + half >= 90, 180, wide)
    for i, (a, d, w) in enumerate(zip(ra.tolist(), dec.tolist(), wide.tolist())):
        west, east = a - w, a + w
        yield i, max(west, 0), min(east, 360), d - half, d + half
        if west < 0:
            yield i, west + 360, 360, d - half, d + half
        if east > 360:
            yield i, 0, east - 360, d - half, d + half


def tree(rows):
    found = cKDTree(vectors(rows))

    def run(queries):
        lists = found.query_ball_point(vectors(queries), 2 * np.sin(RADIUS * ARCSEC / 2))
        return sum(map(len, lists))

    return run


def astropy_nearest(rows):
    catalogue = SkyCoord(*rows.T, unit="deg")
    SkyCoord([0], [0], unit="deg").match_to_catalog_sky(catalogue)

    def run(queries):
        _, distance, _ = SkyCoord(*queries.T, unit="deg").match_to_catalog_sky(catalogue)
        return -int((distance <= RADIUS * u.arcsec).sum())

    return run


def sqlite(rows):
    base = sqlite3.connect(":memory:")
    base.execute("CREATE VIRTUAL TABLE box USING rtree(id, west, east, south, north)")
    base.execute("CREATE TABLE source (id INTEGER PRIMARY KEY, ra REAL, dec REAL)")
    each = list(enumerate(rows.tolist()))
    base.executemany("INSERT INTO box VALUES (?, ?, ?, ?, ?)", ((i, a, a, d, d) for i, (a, d) in each))
    base.executemany("INSERT INTO source VALUES (?, ?, ?)", ((i, a, d) for i, (a, d) in each))
    sql = (
        "SELECT ra, dec FROM box JOIN source USING (id) WHERE west <= ? + 5e-5 AND east >= ? - 5e-5 AND south <= ? + 1e-5 AND north >= ? - 1e-5"
    )

    def run(queries):
        pairs = []
        for i, west, east, south, north in boxes(*queries.T):
            for ra, dec in base.execute(sql, (east, west, north, south)):
                if west <= ra <= east and south <= dec <= north:
                    pairs.append((*queries[i], ra, dec))
        pairs = np.array(pairs).reshape(-1, 4)
        return int((separation(pairs[:, :2], pairs[:, 2:]) <= RADIUS).sum())

    return run


def duck(rows):
    base = duckdb.connect()
    base.execute("SET threads = 1")
    table = {"ra": rows[:, 0], "dec": rows[:, 1]}
    base.register("given", __import__("pyarrow").table(table))
    base.execute("CREATE TABLE source AS SELECT *, floor(dec * 20)::INT AS zone FROM given ORDER BY zone, ra")

    def run(queries):
        import pyarrow

        cut = np.array(list(boxes(*queries.T)))
        names = ["query", "west", "east", "south", "north"]
        base.register("box", pyarrow.table({name: cut[:, k] for k, name in enumerate(names)}))
        pairs = base.execute(
            "WITH z AS (SELECT *, unnest([floor(south * 20)::INT, floor(north * 20)::INT]) AS zone FROM box) "
            "SELECT DISTINCT query, ra, dec FROM z JOIN source USING (zone) WHERE ra BETWEEN west AND east AND dec BETWEEN south AND north"
        ).fetchnumpy()
        queried = queries[pairs["query"].astype(int)]
        return int((separation(queried, np.stack([pairs["ra"], pairs["dec"]], axis=1)) <= RADIUS).sum())

    return run


def main():
    folder = sys.argv[1]
    with open(f"{folder}/about.json") as file:
        about = json.load(file)
    rows = np.fromfile(f"{folder}/rows").reshape(-1, 2)
    makers = {"scipy cKDTree": tree, "astropy match_to_catalog_sky": astropy_nearest}
    if len(rows) <= 2_000_000:
        makers |= {"SQLite R*tree": sqlite, "DuckDB zone join": duck}
    for name, make in makers.items():
        start = time.process_time()
        run = make(rows)
        ready = time.process_time() - start
        for sky, batch in about["batch"].items():
            queries = np.fromfile(f"{folder}/{sky}").reshape(-1, 2)
            most = QUERIES if make in (tree, astropy_nearest) else QUERIES // 10
            queries = queries[: max(batch, most // batch * batch)]
            start, found = time.process_time(), 0
            for first in range(0, len(queries), batch):
                found += run(queries[first : first + batch])
            each = (time.process_time() - start) / len(queries) * 1e9
            expected = sum(about["found"][sky][: len(queries) // batch])
            # The nearest alone is what astropy's function is for.
            said = f"{-found} of {expected} (nearest alone)" if found < 0 else f"{found} of {expected}"
            wrong = "" if found < 0 or abs(found - expected) <= expected // 10_000 else "  WRONG"
            print(f"{about['name']}/{sky}/{name}: {each:,.0f} ns a query, {said} found{wrong}; ready after {ready:.1f} s", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    main()
