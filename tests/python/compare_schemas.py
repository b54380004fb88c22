"""Compares two schema files by path, on its own: prints the paths that only one has, and those whose null or default differs."""

import json
import sys


def paths(schema, names, prefix, out):
    """Every field by its path, with whether it can be null and its default."""
    if isinstance(schema, str):
        schema = names.get(schema, schema)
    if isinstance(schema, list):
        for branch in schema:
            paths(branch, names, prefix, out)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            names[schema["name"]] = schema
            for field in schema["fields"]:
                path = f"{prefix}.{field['name']}" if prefix else field["name"]
                null = isinstance(field["type"], list) and "null" in field["type"]
                out[path] = (null, json.dumps(field["default"]) if "default" in field else None)
                paths(field["type"], names, path, out)
        elif schema["type"] == "array":
            paths(schema["items"], names, f"{prefix}[]", out)
        elif isinstance(schema["type"], (dict, list)):
            paths(schema["type"], names, prefix, out)
    return out


old, new = (paths(json.load(open(path)), {}, "", {}) for path in sys.argv[1:3])
both = [path for path in new if path in old]
print(json.dumps({
    "removed": sorted(set(old) - set(new)),
    "added": sorted(set(new) - set(old)),
    "nullable": sorted(path for path in both if old[path][0] != new[path][0]),
    "default": sorted(path for path in both if old[path][1] != new[path][1]),
}))
