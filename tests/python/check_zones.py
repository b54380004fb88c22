"""The hits of a zone index against astropy.

make FOLDER RADIUS:COUNT...    writes rows.f64 and asked-RADIUS.f64: pairs of right ascension and declination in degrees
check FOLDER RADIUS:COUNT...   compares found-RADIUS.f64 (query, row, arcseconds) with search_around_sky and match_to_catalog_sky
"""

import json
import sys

import astropy.units as u
import numpy
from astropy.coordinates import SkyCoord

# Arcseconds by which two ways to compute a separation may differ; closer than that to the edge either answer is right.
TOLERANCE = 1e-6


def sphere(random, count):
    return numpy.column_stack((random.uniform(0, 360, count), numpy.degrees(numpy.arcsin(random.uniform(-1, 1, count)))))


def near(random, positions, arcsec):
    """Each moved by up to so much in a random direction."""
    turns = random.uniform(0, 360, len(positions)) * u.deg
    away = numpy.sqrt(random.uniform(0, 1, len(positions))) * arcsec * u.arcsec
    moved = SkyCoord(positions * u.deg).directional_offset_by(turns, away)
    return numpy.column_stack((moved.ra.deg % 360, moved.dec.deg))


def rows(random):
    arcsec = 1 / 3600
    everywhere = sphere(random, 20_000)
    border = numpy.column_stack((random.uniform(-10, 10, 2_000) * arcsec % 360, random.uniform(-70, 70, 2_000)))
    poles = [numpy.column_stack((random.uniform(0, 360, 500), side * (90 - random.uniform(0, 20, 500) * arcsec))) for side in (1, -1)]
    exact = [[0, 90], [123, 90], [0, -90], [200, -90], [0, 0], [180, 0]]
    pairs = near(random, everywhere[:2_000], 0.003)
    return numpy.concatenate([everywhere, border, *poles, exact, everywhere[:500], everywhere[:500], pairs])


def make(folder, radii):
    random = numpy.random.default_rng(20)
    catalog = rows(random)
    catalog.tofile(f"{folder}/rows.f64")
    for radius, count in radii:
        picked = catalog[random.integers(0, len(catalog), count)]
        asked = numpy.where((numpy.arange(count) % 4 == 0)[:, None], sphere(random, count), near(random, picked, 2 * float(radius)))
        asked.tofile(f"{folder}/asked-{radius}.f64")
    return {}


def check(folder, radii):
    catalog = SkyCoord(numpy.fromfile(f"{folder}/rows.f64").reshape(-1, 2) * u.deg)
    pairs = neighbours = 0
    for name, _ in radii:
        radius = float(name)
        asked = SkyCoord(numpy.fromfile(f"{folder}/asked-{name}.f64").reshape(-1, 2) * u.deg)
        found = numpy.fromfile(f"{folder}/found-{name}.f64").reshape(-1, 3)
        got = {(int(q), int(r)): d for q, r, d in found}
        assert len(got) == len(found), f"a source is found twice within {name}"
        # In the order of the index: by query, nearest first.
        assert all(a[0] < b[0] or a[2] <= b[2] for a, b in zip(found, found[1:])), f"hits within {name} are out of order"
        query, row, separation, _ = catalog.search_around_sky(asked, (radius + 2 * TOLERANCE) * u.arcsec)
        expected = dict(zip(zip(query.tolist(), row.tolist()), separation.arcsec.tolist()))
        for key, distance in expected.items():
            if distance < radius - TOLERANCE:
                assert key in got, f"{key} at {distance} is not found within {name}"
        for key, distance in got.items():
            assert key in expected, f"{key} at {distance} is not what astropy finds within {name}"
            assert abs(distance - expected[key]) < TOLERANCE, f"{key}: {distance}, astropy says {expected[key]}"
        index, nearest, _ = asked.match_to_catalog_sky(catalog)
        first = {int(q): d for q, _, d in found[::-1]}
        for i, distance in enumerate(nearest.arcsec):
            if distance < radius - TOLERANCE:
                assert abs(first[i] - distance) < TOLERANCE, f"the nearest of {i} is at {first[i]}, astropy says {distance}"
                neighbours += 1
            elif distance > radius + TOLERANCE:
                assert i not in first
        pairs += len(got)
    return {"pairs": pairs, "nearest": neighbours}


step, folder, *radii = sys.argv[1:]
radii = [radius.split(":") for radius in radii]
radii = [(radius, int(count)) for radius, count in radii]
print(json.dumps({"make": make, "check": check}[step](folder, radii)))
