"""llama.cpp in a process of its own: `-m teehee.mind.llama FOLDER WEIGHTS THREADS`, served on a socket in FOLDER.

It says on its standard output when the model is loaded, or why it cannot be, and ends when its standard input does.
"""

import contextlib
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

SOCKET = "llama.sock"
CONTEXT, SLOTS = 2048, 2  # tokens of each slot: one slot keeps the prefix for routing, one the character's
KEPT_MIB = 256  # of prefixes that other agents' took the place of
SACRIFICE = 500  # when memory runs out, the kernel takes this process first, not the vault


def main() -> None:
    folder, weights, threads = sys.argv[1:]
    status = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints goes to the mind's log
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(SACRIFICE))
    os.umask(0o177)
    os.chdir(folder)  # a socket's path may be no longer than 107 bytes
    Path(SOCKET).unlink(missing_ok=True)
    try:
        server = _serve(weights, int(threads) or half_the_cores())
        told = {"ready": server.listening_address}
    except Exception as error:  # the engine's own: a file that is no model, memory that is not there
        told = {"error": f"{type(error).__name__}: {error}"[:400]}
    status.write(json.dumps(told) + "\n")
    status.flush()
    if "ready" in told:
        threading.Event().wait()


def half_the_cores() -> int:
    """llama.cpp's threads wait for each other spinning: with one a core, any other process slows them twentyfold."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _serve(weights: str, threads: int) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.hostnames, params.port, params.n_threads_http = [SOCKET], 0, 4
    params.n_ctx, params.n_parallel, params.cache_ram_mib = CONTEXT * SLOTS, SLOTS, KEPT_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers, params.warmup, params.verbosity = 0, False, 0
    return xllamacpp.Server(params)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
