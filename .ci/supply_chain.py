"""supply_chain.py DENY_TOML < METADATA: holds the licences, sources and single versions of deny.toml with the output of
`cargo metadata`, where cargo-deny itself is not installed. Advisories need cargo-deny."""

import json
import re
import sys
import tomllib


def allowed(expression, allow):
    """Whether a licence expression (SPDX; cargo's old `A/B` means `A OR B`) can be met by the allowed licences."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def term():
        if peek() == "(":
            take()
            value = either()
            assert take() == ")", expression
            return value
        name = take()
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allow

    def both():
        value = term()
        while peek() == "AND":
            take()
            value = term() and value
        return value

    def either():
        value = both()
        while peek() == "OR":
            take()
            value = both() or value
        return value

    value = either()
    assert position == len(tokens), f"cannot read the licence {expression!r}"
    return value


def main():
    with open(sys.argv[1], "rb") as file:
        rules = tomllib.load(file)
    packages = json.load(sys.stdin)["packages"]
    allow = set(rules["licenses"]["allow"])
    exceptions = {e["crate"]: set(e["allow"]) for e in rules["licenses"].get("exceptions", [])}
    single = {d["crate"] for d in rules["bans"]["deny"] if d.get("deny-multiple-versions")}
    banned = {d["crate"] for d in rules["bans"]["deny"] if not d.get("deny-multiple-versions")}
    problems, versions, sources = [], {}, set()
    for package in packages:
        name, source = package["name"], package["source"]
        versions.setdefault(name, set()).add(package["version"])
        if source is not None:
            sources.add(source)
            if not source.startswith("registry+"):
                problems.append(f"{name} comes from {source}, no registry")
        if not package["license"]:
            problems.append(f"{name} has no licence expression")
        elif not allowed(package["license"], allow | exceptions.get(name, set())):
            problems.append(f"{name} is under {package['license']}, which deny.toml does not allow")
        if name in banned:
            problems.append(f"{name} is banned in deny.toml")
    if len(sources) > 1:
        problems.append(f"packages come from several sources: {sorted(sources)}")
    problems += [f"{name} is there in versions {sorted(versions[name])}" for name in sorted(single) if len(versions.get(name, ())) > 1]
    print(f"{len(packages)} packages, {len(problems)} problems")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


main()
