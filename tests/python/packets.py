"""Reading packets and comparing values, by fastavro alone."""

import io
import json
import struct

import fastavro

HEADER = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}


def readable(schema):
    """The schema as fastavro can read it whole. Without defaults, which don't matter to a reader of the writer's own schema:
    fastavro refuses all of it where one is invalid (TURBO's null for an int). Where a record has a name twice (WINTER's sgmag1)
    fastavro's dictionary keeps the last; those before it get a number (sgmag1_1), so that they are compared too."""
    if isinstance(schema, list):
        return [readable(s) for s in schema]
    if isinstance(schema, dict):
        out = {k: v for k, v in schema.items() if k != "default"}
        for key in ("type", "items", "values"):
            if key in out:
                out[key] = readable(out[key])
        if "fields" in out:
            out["fields"] = [readable(f) for f in out["fields"]]
            names = [f["name"] for f in out["fields"]]
            for i, name in enumerate(names):
                if name in names[i + 1:]:
                    number = next(n for n in range(1, len(names)) if f"{name}_{n}" not in names)
                    names[i] = out["fields"][i]["name"] = f"{name}_{number}"
        return out
    return schema


def read_container(data):
    """Schema (as JSON) and records of an object container."""
    stream = io.BytesIO(data)
    header = fastavro.schemaless_reader(stream, HEADER, None)
    assert header["magic"] == b"Obj\x01", f"no container: {header['magic']}"
    blocks = data[stream.tell():]
    schema = readable(json.loads(header["meta"]["avro.schema"]))
    header["meta"]["avro.schema"] = json.dumps(schema).encode()
    again = io.BytesIO()
    fastavro.schemaless_writer(again, HEADER, header)
    again.write(blocks)
    again.seek(0)
    return schema, list(fastavro.reader(again))


def read_datum(schema, data):
    """The record of a bare datum; every byte has to be used."""
    stream = io.BytesIO(data)
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(readable(schema)), None)
    rest = len(data) - stream.tell()
    assert rest == 0, f"{rest} bytes are left over"
    return record


class Mismatch(Exception):
    """Two values differ."""


class Comparer:
    """Compares a value that fastavro has read with the same value read elsewhere, every field, floats by their bits.

    `arrow`: the other value comes out of Arrow, where a union of several types is a struct of its members (null not
    counted) and a map a list of pairs. Otherwise it comes out of fastavro too."""

    def __init__(self, schema, arrow):
        self.schema = schema
        self.arrow = arrow
        self.names = {}
        self.fields = 0
        self.collect(schema, "")

    def collect(self, schema, space):
        if isinstance(schema, list):
            for branch in schema:
                self.collect(branch, space)
        elif isinstance(schema, dict):
            kind = schema["type"]
            if kind in ("record", "error", "enum", "fixed"):
                name = schema["name"]
                space = name.rpartition(".")[0] if "." in name else schema.get("namespace", space)
                full = name if "." in name or not space else f"{space}.{name}"
                self.names[full] = schema
                self.names.setdefault(name, schema)
                for field in schema.get("fields", []):
                    self.collect(field["type"], space)
            elif kind == "array":
                self.collect(schema["items"], space)
            elif kind == "map":
                self.collect(schema["values"], space)
            elif not isinstance(kind, str):
                self.collect(kind, space)

    def resolve(self, schema):
        while True:
            if isinstance(schema, str) and schema in self.names:
                schema = self.names[schema]
            elif isinstance(schema, str):
                by_last = [s for n, s in self.names.items() if n.rpartition(".")[2] == schema]
                if not by_last:
                    return schema
                schema = by_last[0]
            elif isinstance(schema, dict) and not isinstance(schema["type"], str):
                schema = schema["type"]
            else:
                return schema

    def differ(self, path, expected, actual):
        raise Mismatch(f"{path}: {expected!r:.200} in the packet, {actual!r:.200} here")

    def record(self, expected, actual):
        """Compares a whole record."""
        self.compare(self.schema, expected, actual, "")

    def compare(self, schema, expected, actual, path):
        schema = self.resolve(schema)
        if isinstance(schema, list):
            return self.union(schema, expected, actual, path)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "null":
            if expected is not None or actual is not None:
                self.differ(path, expected, actual)
            self.fields += 1
            return None
        if actual is None or expected is None:
            self.differ(path, expected, actual)
        if kind in ("record", "error"):
            names = [f["name"] for f in schema["fields"]]
            if list(expected) != names:
                self.differ(path, list(expected), names)
            missing = [n for n in names if n not in actual]
            extra = [n for n in actual if n not in expected]
            if missing or (extra and path):
                raise Mismatch(f"{path or 'the record'}: fields missing {missing}, fields too many {extra}")
            for field in schema["fields"]:
                name = field["name"]
                self.compare(field["type"], expected[name], actual[name], f"{path}.{name}" if path else name)
            return None
        if kind == "array":
            if len(expected) != len(actual):
                raise Mismatch(f"{path}: {len(expected)} items in the packet, {len(actual)} here")
            for i, (e, a) in enumerate(zip(expected, actual)):
                self.compare(schema["items"], e, a, f"{path}[{i}]")
            return None
        if kind == "map":
            pairs = dict(actual)
            if len(pairs) != len(actual) or set(pairs) != set(expected):
                self.differ(path, sorted(expected), sorted(pairs))
            for key, value in expected.items():
                self.compare(schema["values"], value, pairs[key], f"{path}[{key!r}]")
            return None
        self.fields += 1
        if kind in ("float", "double"):
            code = "<f" if kind == "float" else "<d"
            if not isinstance(actual, float) or struct.pack(code, expected) != struct.pack(code, actual):
                self.differ(path, expected, actual)
        elif isinstance(expected, bool) != isinstance(actual, bool) or expected != actual:
            self.differ(path, expected, actual)
        elif isinstance(expected, (bytes, str, int)) and type(expected) is not type(actual):
            self.differ(path, expected, actual)
        return None

    def union(self, branches, expected, actual, path):
        real = [b for b in branches if b != "null"]
        if expected is None or actual is None:
            if expected is not None or actual is not None or len(real) == len(branches):
                self.differ(path, expected, actual)
            self.fields += 1
            return
        if len(real) == 1:
            self.compare(real[0], expected, actual, path)
            return
        if self.arrow:
            chosen = [(n, v) for n, v in actual.items() if v is not None]
            if len(chosen) != 1 or set(actual) != {f"member{i}" for i in range(len(real))}:
                raise Mismatch(f"{path}: a union of {len(real)} has the members {actual!r:.200}")
            (name, actual), = chosen
            self.compare(real[int(name.removeprefix("member"))], expected, actual, path)
            return
        for branch in real:
            try:
                self.compare(branch, expected, actual, path)
                return
            except (Mismatch, AttributeError, TypeError, struct.error):
                pass
        self.differ(path, expected, actual)


class Packets:
    """The packets that a test has put into topics, by (topic, partition, offset)."""

    def __init__(self, manifest):
        with open(manifest) as file:
            entries = json.load(file)
        self.paths = {(e["topic"], e["partition"], e["offset"]): e["packet"] for e in entries}
        self.read = {}

    def get(self, origin):
        """Schema and records of the packet there."""
        path = self.paths[origin]
        if path not in self.read:
            with open(path, "rb") as file:
                self.read[path] = read_container(file.read())
        return self.read[path]


def finish(problems, **counts):
    """Prints the counts as JSON; problems go to standard error and end the script with 1."""
    import sys

    print(json.dumps(counts))
    for problem in problems[:30]:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems)} problems", file=sys.stderr)
        sys.exit(1)
