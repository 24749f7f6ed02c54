"""Holds the client to the server's OpenAPI document: `python check.py` fails when a path, a query or a field that
the client sends is not in it, when one that the document requires is never sent, or when a request of the
document has no method here."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = json.loads((HERE / "../../openapi.json").read_text())

#: What the client has no method for: what a browser follows by itself, what is for operators, what comes later.
LEFT_OUT = ("/files/", "/metrics", "/ready", "/people", "/openapi.json", "/docs", "/auth/config", "/events", "/videos/{id}/events", "/scenes/{id}/thumbnail")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, in place of a reference to it; all parts of an `allOf` together."""
    if "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].split("/")[-1]])
    if "allOf" in schema:
        whole: dict[str, Any] = {"properties": {}, "required": []}
        for part in map(resolved, schema["allOf"]):
            whole["properties"] |= part.get("properties", {})
            whole["required"] += part.get("required", [])
        return whole
    return schema


def bodies(tree: ast.Module) -> dict[str, set[str]]:
    """By the name of each variable called `body`: the keys that are ever put into it."""
    keys: dict[str, set[str]] = {}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        found: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "body":
                found |= literal_keys(node.value)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                place = node.targets[0]
                if isinstance(place.value, ast.Name) and place.value.id == "body" and isinstance(place.slice, ast.Constant):
                    found.add(str(place.slice.value))
        keys[function.name] = found
    return keys


def literal_keys(node: ast.AST | None) -> set[str]:
    if not isinstance(node, ast.Dict):
        return set()
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}


def main() -> None:
    tree = ast.parse((HERE / "heimdex_client.py").read_text())
    filled = bodies(tree)
    wrong: list[str] = []
    called: set[str] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "_json"):
                continue
            method, path = (argument.value for argument in call.args[:2] if isinstance(argument, ast.Constant))
            where = f"{function.name}: {method} {path}"
            operation = DOCUMENT["paths"].get(path, {}).get(method.lower())
            if operation is None:
                wrong.append(f"{where} is not in the document")
                continue
            called.add(f"{method} {path}")
            known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
            for keyword in call.keywords:
                if keyword.arg == "query":
                    wrong += [f"{where} has no query `{key}`" for key in literal_keys(keyword.value) - known]
            sent = literal_keys(call.args[2]) if len(call.args) > 2 else set()
            if len(call.args) > 2 and isinstance(call.args[2], ast.Name) and call.args[2].id == "body":
                sent = filled[function.name]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                schema = resolved(content["schema"])
                wrong += [f"{where} takes no `{key}`" for key in sent - set(schema.get("properties", {}))]
                wrong += [f"{where} needs `{key}`" for key in set(schema.get("required", [])) - sent]
            elif sent:
                wrong.append(f"{where} takes no body")
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            if method.upper() in ("GET", "POST", "PUT", "PATCH", "DELETE") and not path.startswith(LEFT_OUT):
                if f"{method.upper()} {path}" not in called:
                    wrong.append(f"no method for {method.upper()} {path}")
    if wrong:
        sys.exit("\n".join(sorted(set(wrong))))
    print(f"{len(called)} requests as in the document")


if __name__ == "__main__":
    main()
