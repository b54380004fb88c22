"""Cross-matches by brute force with astropy, and what a published or archived record says of them."""

import csv

import astropy.units as u
import numpy
from astropy.coordinates import SkyCoord

KEYS = ["candid", "candra", "canddec", "catalogid", "sourceid", "sourcera", "sourcedec", "distance"]
# Arcseconds: what is left between two ways of computing a separation in double precision.
TOLERANCE = 1e-6


class Catalog:
    """A catalogue as a CSV file with the columns id, ra, dec."""

    def __init__(self, path, name, radius):
        with open(path, newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        self.name, self.radius = name, radius
        self.ids = [row["id"] for row in rows]
        self.ra = numpy.array([float(row["ra"]) for row in rows])
        self.dec = numpy.array([float(row["dec"]) for row in rows])
        self.sky = SkyCoord(self.ra * u.deg, self.dec * u.deg)

    def around(self, ra, dec):
        """(distance in arcseconds, index) of the sources within the radius, nearest first."""
        separation = SkyCoord(ra * u.deg, dec * u.deg).separation(self.sky).arcsec
        found = numpy.nonzero(separation <= self.radius)[0]
        return sorted((separation[i], int(i)) for i in found)

    def check(self, candid, ra, dec, record):
        """What is wrong with the annotations of a record of this position; its number of matches."""
        expected = self.around(ra, dec)
        said, listed = record["matches"], record["crossmatches"]
        wrong = []
        if said != len(expected) or listed is None or len(listed) != len(expected):
            names = [self.ids[i] for _, i in expected]
            return [f"matches {said}, listed {listed!r:.300}; astropy finds {names}"], len(expected)
        for (distance, i), match in zip(expected, listed):
            if sorted(match) != sorted(KEYS):
                wrong.append(f"a match has the fields {sorted(match)}")
                continue
            exact = {
                "candid": str(candid), "candra": ra, "canddec": dec, "catalogid": self.name, "sourceid": self.ids[i],
                "sourcera": self.ra[i], "sourcedec": self.dec[i],
            }
            for key, value in exact.items():
                got = str(match[key]) if key == "candid" else match[key]
                if got != value:
                    wrong.append(f"{key} is {match[key]!r}, not {value!r}")
            if abs(match["distance"] - distance) > TOLERANCE or match["distance"] > self.radius + TOLERANCE:
                wrong.append(f"distance to {self.ids[i]} is {match['distance']!r}, astropy says {distance!r} arcsec")
        return wrong, len(expected)
