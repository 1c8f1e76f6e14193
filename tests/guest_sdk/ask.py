"""Lets dstack-sdk talk: {client, endpoint, method, arguments, then?} -> what it answered, one line each.

Bytes go in as {hex}; `then` names a method of the answer to ask too. Its one argument is the folder of the package.
"""

import asyncio
import importlib
import inspect
import json
import sys
import types
import warnings
from typing import Any

Json = Any


def absent(name: str) -> types.ModuleType:
    """Stands in for a package the clients do not need; only the check of a key service's public key uses these two."""
    module = types.ModuleType(name)
    setattr(module, "__getattr__", lambda attribute: None)  # noqa: B010 - PEP 562, for a module made by hand
    return module


def bytes_in(value: Json) -> Json:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) and value.keys() == {"hex"} else value


async def ask(sdk: types.ModuleType, question: dict[str, Json]) -> Json:
    client = getattr(sdk, question["client"])(question["endpoint"])
    given = {name: bytes_in(value) for name, value in dict(question["arguments"]).items()}
    if inspect.iscoroutinefunction(getattr(client, question["method"])):
        async with client:
            answer = await getattr(client, question["method"])(**given)
    else:
        with client:
            answer = getattr(client, question["method"])(**given)
    told = answer.model_dump() if hasattr(answer, "model_dump") else answer
    return told | {question["then"]: getattr(answer, question["then"])()} if "then" in question else told


def main() -> None:
    sys.path.append(sys.argv[1])
    sys.modules |= {name: absent(name) for name in ("eth_keys", "eth_utils")}
    warnings.simplefilter("ignore", DeprecationWarning)
    dstack_sdk = importlib.import_module("dstack_sdk")

    for line in sys.stdin:
        try:
            reply = {"answer": asyncio.run(ask(dstack_sdk, json.loads(line)))}
        except Exception as error:
            response = getattr(error, "response", None)
            reply = {
                "error": f"{type(error).__name__}: {error}" + (f" {response.text}" if response is not None else "")
            }
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
