"""read_letters.py FOLDER: the dead letters of a folder, by fastavro, as JSON."""

import glob
import hashlib
import json
import sys

import fastavro


def main():
    letters = []
    for path in sorted(glob.glob(f"{sys.argv[1]}/**/*.avro", recursive=True)):
        with open(path, "rb") as file:
            letters += fastavro.reader(file)
    for letter in letters:
        payload = letter["payload"]
        letter["payload"] = None if payload is None else hashlib.sha256(payload).hexdigest()
        letter["bytes"] = None if payload is None else len(payload)
        letter["key"] = None if letter["key"] is None else letter["key"].hex()
        letter["timestamp"] = None if letter["timestamp"] is None else str(letter["timestamp"])
        letter["headers"] = {h["name"]: None if h["value"] is None else h["value"].hex() for h in letter["headers"]}
    letters.sort(key=lambda l: (l["topic"], l["partition"], l["offset"], l["record"] or 0))
    print(json.dumps(letters))


main()
