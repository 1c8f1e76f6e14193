"""The machine the simulator pretends to be: one app booted on one release, with all its measurements agreeing."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from teehee.errors import ConfigError
from teehee.evidence.keccak import keccak256
from teehee.tee import sim_log

Json = Any

ERAS = tuple(sorted(sim_log.EVENTS, key=lambda era: [int(part) for part in era.split(".")]))
KEY_PROVIDER_BYTE = {"none": 0, "local": 1, "kms": 2}
DEFAULT_COMPOSE = json.dumps(
    {
        "manifest_version": 2,
        "name": "teehee-dev",
        "runner": "docker-compose",
        "docker_compose_file": "services:\n  agent:\n    image: teehee@sha256:" + "0" * 64 + "\n"
        "    restart: unless-stopped\n    volumes:\n      - /var/run/dstack.sock:/var/run/dstack.sock\n",
        "kms_enabled": True,
        "gateway_enabled": True,
        "local_key_provider_enabled": False,
        "key_provider_id": "",
        "public_logs": False,
        "public_sysinfo": False,
        "public_tcbinfo": True,
        "allowed_envs": [],
        "no_instance_id": False,
        "secure_time": True,
        "storage_fs": "zfs",
    },
    separators=(",", ":"),
).encode()


@dataclass(frozen=True, slots=True)
class Boot:
    """What was started: release, app and the flaws that were asked for.

    `app_id` is that of a first deployment when it is empty: the first 20 bytes of the compose hash.
    """

    era: str = "0.5.11"
    provider: str = "kms"
    app_compose: bytes = DEFAULT_COMPOSE
    app_id: bytes = b""
    instance_seed: bytes = b"teehee simulator"
    fault: str = ""


class Machine:
    """A booted app. Nothing here is secret."""

    def __init__(self, boot: Boot, key_provider: bytes) -> None:
        self.era = boot.era
        self.app_compose = boot.app_compose
        self.compose = _parsed(boot.app_compose)
        self.compose_hash = hashlib.sha256(boot.app_compose).digest()
        self.app_id = boot.app_id or self.compose_hash[:20]
        self.app_name = str(self.compose.get("name", ""))
        self.instance_id = b""
        if not self.compose.get("no_instance_id"):
            self.instance_id = hashlib.sha256(boot.instance_seed + self.app_id).digest()[:20]
        self.key_provider = key_provider
        self.debug = boot.fault == "debug"

        flavour = "dev" if boot.fault == "dev-os" else ""
        image = "-".join(part for part in ("teehee-simulator", flavour, boot.era) if part)
        self.os_image_hash = hashlib.sha256(image.encode()).digest()
        self.mrtd = hashlib.sha384(b"teehee simulator firmware").digest()
        self.mrconfigid = self._mrconfigid(boot.provider)
        self.vm_config = json.dumps(
            {"spec_version": 1, "os_image_hash": self.os_image_hash.hex(), "cpu_count": 1, "memory_size": 2 << 30,
             "image": image},
            separators=(",", ":"),
        )  # fmt: skip
        version = 2 if boot.era == "0.6.0" and self.compose.get("event_log_version") == 2 else 1
        started = sim_log.runtime_events(boot.era, self._payloads(), kms=boot.provider == "kms", version=version)
        self.events = _flawed([*sim_log.boot_events(boot.era, flavour), *started], boot.fault)
        self.rtmrs = sim_log.registers(self.events)

    @property
    def sealed_to(self) -> bytes:
        """What a local key provider binds keys to: the code, as measured before keys are asked for."""
        at_asking = sim_log.registers(sim_log.until(self.events, "boot-mr-done"))
        return self.mrtd + b"".join(at_asking)

    @property
    def mr_aggregated(self) -> bytes:
        """One hash over every register, as `Info` tells it."""
        registers = self.mrtd + b"".join(self.rtmrs)
        if any(self.mrconfigid):
            registers += self.mrconfigid + bytes(96)
        return hashlib.sha256(registers).digest()

    @property
    def runtime_events(self) -> list[sim_log.Event]:
        return [event for event in self.events if event.imr == 3]

    def quoted_log(self) -> list[dict[str, Json]]:
        return sim_log.quoted_log(self.era, self.events)

    def payload(self, name: str) -> bytes:
        """What was measured under this name first."""
        return next(event.payload for event in self.runtime_events if event.name == name)

    def _mrconfigid(self, provider: str) -> bytes:
        """What was fixed before boot: the compose hash, with a pinned key provider also that and the app."""
        if self.era in ("0.3.6", "0.4.2"):
            return sim_log.ZEROS
        pinned = _hex(self.compose, "key_provider_id")
        if not pinned:
            return b"\x01" + self.compose_hash + bytes(15)
        provider_byte = bytes([KEY_PROVIDER_BYTE[provider]])
        return b"\x02" + keccak256(self.compose_hash + self.app_id + provider_byte + pinned) + bytes(15)

    def _payloads(self) -> dict[str, list[bytes]]:
        scripts = self.compose.get("init_script") or []
        scripts = [scripts] if isinstance(scripts, str) else scripts
        requirements = self.compose.get("requirements") or {}
        gpu_policy = json.dumps(requirements.get("gpu_policy", {}), sort_keys=True, separators=(",", ":"))
        return {
            "rootfs-hash": [hashlib.sha256(b"teehee simulator rootfs").digest()],
            "app-id": [self.app_id],
            "compose-hash": [self.compose_hash],
            "ca-cert-hash": [hashlib.sha256(self.key_provider).digest()],
            "init-script-hash": [hashlib.sha256(script.encode()).digest() for script in scripts],
            "gpu-policy-hash": [hashlib.sha256(gpu_policy.encode()).digest()],
            "instance-id": [self.instance_id],
            "os-image-hash": [self.os_image_hash],
            "key-provider": [self.key_provider],
            "storage-fs": [str(self.compose.get("storage_fs", "ext4")).encode()],
        }


def _flawed(events: list[sim_log.Event], fault: str) -> list[sim_log.Event]:
    """The log with the flaw that was asked for, measured like everything else."""
    if fault == "forged-late-event":  # an app that reaches the measuring device names itself another app
        return [*events, sim_log.runtime("app-id", bytes(20))]
    if fault == "duplicate-compose-hash":
        at = 1 + next(number for number, event in enumerate(events) if event.name == "compose-hash")
        return [*events[:at], sim_log.runtime("compose-hash", bytes(32)), *events[at:]]
    return events


def _parsed(app_compose: bytes) -> dict[str, Json]:
    try:
        compose = json.loads(app_compose.decode())
    except (ValueError, RecursionError):
        compose = None
    if type(compose) is not dict:
        raise ConfigError("the app-compose is no JSON object", hint="give the app-compose.json the machine would boot")
    return compose


def _hex(compose: dict[str, Json], name: str) -> bytes:
    try:
        return bytes.fromhex(compose.get(name) or "")
    except (TypeError, ValueError):
        raise ConfigError(f"the app-compose has no hex in {name!r}") from None
