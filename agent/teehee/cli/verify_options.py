"""The options of `teehee verify`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _file(name: str, about: str, default: str = "none") -> Any:
    return typer.Option(name, metavar="FILE", help=f"{about} [default: {default}]", show_default=False)


def _word(name: str, metavar: str, about: str, default: str = "none") -> Any:
    return typer.Option(name, metavar=metavar, help=f"{about} [default: {default}]", show_default=False)


Target = Annotated[
    str | None,
    typer.Argument(metavar="TARGET", help="A bundle file, or the address of an agent's page.", show_default=False),
]
Quote = Annotated[Path | None, _file("--quote", "A TDX quote: binary, hex, or a versioned attestation.")]
EventLog = Annotated[Path | None, _file("--event-log", "Its event log, or a tcb_info that holds it.")]
Compose = Annotated[Path | None, _file("--compose", "The app-compose.json, byte for byte.")]
Collateral = Annotated[Path | None, _file("--collateral", "Intel's collateral, as dcap-qvl writes it.")]
At = Annotated[int, _word("--at", "TIME", "Check as of this second since 1970.", "the quote's time")]
Rung = Annotated[int, _word("--rung", "N", "End with code 5 below this rung, 0 to 5.", "1")]
Nonce = Annotated[str, _word("--nonce", "HEX", "What you asked the agent to answer.")]
MaxAge = Annotated[int, _word("--max-age", "SECONDS", "How old a statement may be.", "any age")]
Since = Annotated[Path | None, _file("--since", "An earlier bundle of the same agent: what changed is named.")]
DevRoot = Annotated[Path | None, _file("--dev-root", "A developer's root that you trust, for development.")]
KmsRoot = Annotated[str, _word("--kms-root", "HEX", "The KMS key you know.", "the known KMSs")]
ChainRpc = Annotated[str, _word("--chain-rpc", "URL", "Your own Ethereum node, to read the app contract from.")]
ChainId = Annotated[int, _word("--chain-id", "N", "The chain the app contract is on.", "the node's")]
Timelock = Annotated[int, _word("--timelock", "DAYS", "How long a change must be public first, for rung 3.", "7")]
KnownCode = Annotated[
    list[str] | None,
    _word(
        "--known-code", "ROLE=HASH", "Code hash you know, as proxy, implementation or timelock; may be repeated.",
        "the listed ones",
    ),
]  # fmt: skip
KmsContract = Annotated[
    str, _word("--kms-contract", "ADDRESS", "The key service's contract on that chain.", "the listed one")
]
AcceptCompose = Annotated[
    list[str] | None,
    _word("--accept-compose", "HASH", "Another compose hash you have read; may be repeated."),
]
Governance = Annotated[Path | None, _file("--governance", "What was read of the app contract earlier.")]
WriteGovernance = Annotated[
    Path | None, _file("--write-governance", "Where to keep what is read of the app contract.", "nowhere")
]
Explain = Annotated[str, _word("--explain", "CODE", "Say what a reject code means.")]
