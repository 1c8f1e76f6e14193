"""A simulated machine with an agent on it, made into evidence, a bundle or the governance of its app contract."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from teehee.evidence import address, anchors, bundle, checkpoint, eventlog, governance, merkle, statement
from teehee.evidence.governance import Asked, Change, Governance, Upgrade
from teehee.evidence.verify import Evidence
from teehee.tee.simulator import Simulator

Json = Any
NOW = 1_795_000_000
KEY_ID = "ab" * 16
IMPLEMENTATION, KMS, OWNER = "0x" + "1a" * 20, "0x" + "2b" * 20, "0x" + "3c" * 20
IMPLEMENTATION_HASH = "4d" * 32
ASKED = Asked(known=frozenset({("implementation", IMPLEMENTATION_HASH)}), kms=KMS)
"""What somebody asks who knows the implementation and the key service of `Machine.governance`."""


@dataclass
class Machine:
    """A simulated machine and an agent on it, from which evidence is made; each part can be spoilt."""

    simulator: Simulator

    def keys(self) -> dict[str, bundle.ChainedKey]:
        found = {}
        for purpose, algorithm in (("evm", "secp256k1"), ("solana", "ed25519"), ("log", "ed25519")):
            name = f"teehee/v1/{KEY_ID}/{purpose}/{algorithm}"
            given = self.simulator.keys.by_path(name, name, algorithm)
            links = [link.hex() for link in given.chain]
            found[purpose] = bundle.ChainedKey(name, algorithm, given.public.hex(), links[0], links[1])
        return found

    def log_key(self) -> Ed25519PrivateKey:
        name = f"teehee/v1/{KEY_ID}/log/ed25519"
        return Ed25519PrivateKey.from_private_bytes(self.simulator.keys.by_path(name, name, "ed25519").secret)

    def statement(self, keys: dict[str, bundle.ChainedKey], **changes: Any) -> statement.Statement:
        evm, solana = (bytes.fromhex(keys[name].public) for name in ("evm", "solana"))
        said = {
            "key_id": KEY_ID,
            "app_id": self.simulator.machine.app_id.hex(),
            "compose_hash": self.simulator.machine.compose_hash.hex(),
            "package_hash": "c" * 64,
            "policy_hash": "d" * 64,
            "keys": {name: key.public for name, key in keys.items()} | {"owner-channel": "e" * 64},
            "addresses": {"evm": address.evm(evm), "solana": address.base58(solana)},
            "accounts": {},
            "log_origin": f"teehee/{KEY_ID}",
            "log_size": 0,
            "log_root": merkle.root([]).hex(),
            "previous": "",
            "nonce": "",
            "issued_at": NOW * 1000,
            "trust": "dev",
        }
        return statement.Statement(**{**said, **changes})

    def evidence(
        self, events: list[Json] | None = None, mrconfigid: bytes | None = None, mrtd: bytes | None = None,
        **changes: Any,
    ) -> Evidence:  # fmt: skip
        machine, keys = self.simulator.machine, self.keys()
        said = self.statement(keys, **changes)
        log = machine.quoted_log() if events is None else events
        rtmrs = eventlog.replay(eventlog.read(log))
        quoted = self.simulator.pki.quote(
            said.report_data(), mrtd or machine.mrtd, rtmrs, machine.mrconfigid if mrconfigid is None else mrconfigid,
            debug=machine.debug,
        )  # fmt: skip
        head = checkpoint.Checkpoint(said.log_origin, said.log_size, bytes.fromhex(said.log_root))
        return Evidence(
            quote=quoted,
            event_log=json.dumps(log).encode(),
            app_compose=machine.app_compose,
            collateral=json.dumps(self.simulator.collateral(NOW)).encode(),
            statement=said.encode(),
            keys=keys,
            checkpoint=checkpoint.sign(head, said.log_origin, self.log_key()),
            as_of=NOW,
        )

    def bundle(self) -> bundle.Bundle:
        good = self.evidence()
        assert good.event_log is not None
        assert good.app_compose is not None
        assert good.collateral is not None
        assert good.statement is not None
        return bundle.Bundle(
            format=bundle.FORMAT, api="v0", statement=good.statement.decode(), quote=good.quote.hex(),
            event_log=good.event_log.decode(), app_compose=base64.b64encode(good.app_compose).decode(), vm_config="",
            keys=good.keys, checkpoint=good.checkpoint, collateral=good.collateral.decode(),
            collateral_from="simulator", as_of=NOW, nonce=None,
        )  # fmt: skip

    def boot(self) -> eventlog.Boot:
        return eventlog.boot(eventlog.read(self.simulator.machine.quoted_log()))

    def provider(self) -> bytes:
        """The CA of its key service."""
        provider = self.boot().key_provider
        assert provider is not None
        return provider.id

    def governance(self, **changes: Any) -> Governance:
        """An app contract that nobody owns and that allows what was booted, and nothing else."""
        machine = self.simulator.machine
        compose_hash = machine.compose_hash.hex()
        read: dict[str, Any] = {
            "format": governance.FORMAT, "chain_id": 8453, "block": 900, "block_hash": "5e" * 32, "block_time": NOW,
            "app": f"0x{machine.app_id.hex()}", "app_code_hash": code_hash("proxy"),
            "implementation": IMPLEMENTATION, "implementation_code_hash": IMPLEMENTATION_HASH,
            "upgrades": [Upgrade(100, IMPLEMENTATION)], "owner": governance.NOBODY, "pending_owner": governance.NOBODY,
            "history": [Change(100, compose_hash, True)], "allowed": [compose_hash], "allow_any_device": True,
            "require_tcb_up_to_date": False, "kms": KMS, "kms_ca": self.provider().hex(),
            "kms_k256": self.simulator.anchor.hex(), "registered": True,
        }  # fmt: skip
        return Governance(**{**read, **changes})


def code_hash(role: str) -> str:
    """The hash of one known contract in that role."""
    return next(item.code_hash for item in anchors.known_codes() if item.role == role)
