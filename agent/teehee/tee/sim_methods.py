"""The methods of every surface the simulator serves, release by release: what is asked in, what is answered out."""

import hashlib
import json
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from teehee.tee import legacy, sim_attest, sim_keys
from teehee.tee.devpki import DeveloperPki
from teehee.tee.sim_ask import Ask, Fields
from teehee.tee.sim_certs import Authority, Wanted, certificate_report, pem_key
from teehee.tee.sim_keys import AppKeys, Failed, Given
from teehee.tee.sim_log import whole_log
from teehee.tee.sim_machine import Machine

Method = Callable[[Ask], Fields]

REMOVED = "EmitEvent was removed in dstack 0.6.0; runtime RTMR3 events are system-owned and cannot be extended by apps"
NO_EVENTS = "EmitEvent is not supported by this simulator: nothing is extended after the system is ready"


class Methods:
    """Every method of one machine. `surfaces` says which of them its release serves, and where."""

    def __init__(self, machine: Machine, keys: AppKeys, authority: Authority, pki: DeveloperPki) -> None:
        self.machine = machine
        self.keys = keys
        self.authority = authority
        self.pki = pki
        self._app_cert = ""

    def surfaces(self) -> dict[str, dict[str, Method]]:
        """Method by name, for each prefix there is."""
        era = self.machine.era
        surfaces: dict[str, dict[str, Method]] = {
            "/prpc/": {
                "DeriveKey": self.derive_key,
                "TdxQuote": self.tdx_quote,
                "RawQuote": self.raw_quote,
                "Info": self.info,
            }
        }
        if era == "0.3.6":
            return surfaces
        surfaces["/prpc/"]["DeriveK256Key"] = self.derive_k256_key
        surfaces["/"] = {"GetTlsKey": self.get_tls_key, "GetKey": self.get_key}
        surfaces["/"] |= {"GetQuote": self.get_quote, "Info": self.info}
        if era != "0.4.2":
            surfaces["/"]["EmitEvent"] = self.emit_event
        if era in ("0.5.11", "0.6.0"):
            surfaces["/prpc/"]["Version"] = self.version
            surfaces["/"] |= {"Attest": self.attest, "Sign": self.sign, "Verify": self.verify, "Version": self.version}
        if era == "0.6.0":
            surfaces["/v0/"] = surfaces["/"]
            surfaces["/v1/"] = {
                "IssueCert": self.get_tls_key,
                "GetKey": self.get_domain_key,
                "Attest": self.attest_with_gpu,
                "AttestGpu": self.attest_gpu,
                "Info": self.info_v1,
                "Version": self.version,
            }
        return surfaces

    # -- keys

    def get_key(self, ask: Ask) -> Fields:
        algorithm = ask.text("algorithm") if self._knows_algorithms() else ""
        key = self.keys.by_path(ask.text("path"), ask.text("purpose"), algorithm)
        return {"key": key.secret.hex(), "signature_chain": _chain(key)}

    def get_domain_key(self, ask: Ask) -> Fields:
        key = self.keys.by_domain(ask.text("domain"), ask.text("algorithm"))
        return {"key": key.secret.hex(), "public_key": key.public.hex(), "signature_chain": _chain(key)}

    def derive_k256_key(self, ask: Ask) -> Fields:
        answer = self.get_key(ask)
        return {"k256_key": answer["key"], "k256_signature_chain": answer["signature_chain"]}

    def derive_key(self, ask: Ask) -> Fields:
        old = self.machine.era == "0.3.6"
        key = self.keys.by_certificate(ask.text("path"), from_ca=old, random=ask.flag("random_seed") and not old)
        return self._certified(key, ask)

    def get_tls_key(self, ask: Ask) -> Fields:
        """A key that is nobody's before: no field of the question goes into it."""
        return self._certified(self.keys.by_certificate("", from_ca=False, random=True), ask)

    def sign(self, ask: Ask) -> Fields:
        signature, key = self.keys.sign(ask.text("algorithm"), ask.octets("data"))
        chain = [signature.hex(), *_chain(key)]
        return {"signature": signature.hex(), "signature_chain": chain, "public_key": key.public.hex()}

    def verify(self, ask: Ask) -> Fields:
        data, signature, public = ask.octets("data"), ask.octets("signature"), ask.octets("public_key")
        return {"valid": sim_keys.verify(ask.text("algorithm"), data, signature, public)}

    # -- quotes

    def get_quote(self, ask: Ask) -> Fields:
        report_data = ask.report_data()
        answer = {"quote": self.quote(report_data).hex(), "event_log": self._event_log()}
        answer["report_data"] = report_data.hex()
        return answer if self.machine.era == "0.4.2" else answer | {"vm_config": self.machine.vm_config}

    def tdx_quote(self, ask: Ask) -> Fields:
        algorithm = ask.text("hash_algorithm") or "sha512"
        return self._tdx_quote(ask.octets("report_data"), algorithm, ask.text("prefix"))

    def raw_quote(self, ask: Ask) -> Fields:
        return self._tdx_quote(ask.octets("report_data"), "raw", "")

    def attest(self, ask: Ask) -> Fields:
        return {"attestation": self.attestation(ask.report_data()).hex()}

    def attest_with_gpu(self, ask: Ask) -> Fields:
        ask.flag("include_boottime_gpu_evidence")
        return {**self.attest(ask), "boottime_gpu_evidence": []}

    def attest_gpu(self, ask: Ask) -> Fields:
        if len(ask.octets("nonce")) != 32:
            raise Failed("nonce must be exactly 32 bytes")
        raise Failed("no GPU to attest")

    def emit_event(self, ask: Ask) -> Fields:
        raise Failed(REMOVED if self.machine.era == "0.6.0" else NO_EVENTS)

    def quote(self, report_data: bytes) -> bytes:
        machine = self.machine
        return self.pki.quote(report_data, machine.mrtd, machine.rtmrs, machine.mrconfigid, debug=machine.debug)

    def attestation(self, report_data: bytes) -> bytes:
        machine = self.machine
        return sim_attest.write(self.quote(report_data), machine.events, report_data, machine.vm_config)

    # -- what the machine says of itself

    def version(self, ask: Ask) -> Fields:
        return {"version": self.machine.era, "rev": "teehee-simulator"}

    def info(self, ask: Ask) -> Fields:
        """Info as each release tells it; `tcb_info` is JSON in a string in all of them."""
        machine, era = self.machine, self.machine.era
        tcb = {"mrtd": machine.mrtd.hex()} | {f"rtmr{n}": rtmr.hex() for n, rtmr in enumerate(machine.rtmrs)}
        answer: Fields = {
            "app_id": machine.app_id.hex(),
            "instance_id": machine.instance_id.hex(),
            "app_cert": self._demo_cert(),
            "app_name": machine.app_name,
        }
        if era == "0.3.6":
            tcb["rootfs_hash"] = machine.payload("rootfs-hash").hex()
        else:
            shared = {
                "mr_aggregated": machine.mr_aggregated.hex(),
                "compose_hash": machine.compose_hash.hex(),
                "device_id": hashlib.sha256(b"").hexdigest(),  # what an agent says that does not know its device
            }
            shared |= self._mr_image() if era == "0.4.2" else {"os_image_hash": machine.os_image_hash.hex()}
            tcb |= shared
            answer |= shared | {"key_provider_info": machine.key_provider.decode()}
        if era in ("0.3.6", "0.4.2"):
            answer |= {name: bool(machine.compose.get(name)) for name in ("public_logs", "public_sysinfo")}
        else:
            answer["vm_config"] = machine.vm_config
        if era in ("0.5.11", "0.6.0"):
            answer |= {"cloud_vendor": "teehee", "cloud_product": "simulator (trust: dev)"}
        whole = {**tcb, "event_log": whole_log(machine.events), "app_compose": machine.app_compose.decode()}
        return answer | {"tcb_info": json.dumps(whole, indent=2, ensure_ascii=False)}

    def info_v1(self, ask: Ask) -> Fields:
        old = self.info(ask)
        names = (
            "app_id", "app_name", "compose_hash", "instance_id", "device_id", "os_image_hash", "mr_aggregated",
            "vm_config", "key_provider_info", "cloud_vendor", "cloud_product",
        )  # fmt: skip
        return {name: old[name] for name in names} | {"app_compose": self.machine.app_compose.decode()}

    def _knows_algorithms(self) -> bool:
        return self.machine.era in ("0.5.11", "0.6.0")

    def _mr_image(self) -> Fields:
        image = hashlib.sha256(self.machine.mrtd + b"".join(self.machine.rtmrs[:3])).hexdigest()
        return {"mr_image": image, "mr_key_provider": hashlib.sha256(self.machine.key_provider).hexdigest()}

    def _event_log(self) -> str:
        return json.dumps(self.machine.quoted_log(), separators=(",", ":"))

    def _tdx_quote(self, content: bytes, algorithm: str, prefix: str) -> Fields:
        try:
            report_data = legacy.report_data(content, algorithm, prefix)
        except ValueError as error:
            raise Failed(str(error)) from None
        return {
            "quote": self.quote(report_data).hex(),
            "event_log": self._event_log(),
            "hash_algorithm": algorithm,
            "prefix": "" if algorithm == "raw" else "app-data",  # whatever prefix was used
        }

    def _certified(self, key: EllipticCurvePrivateKey, ask: Ask) -> Fields:
        wanted = Wanted(
            ask.text("subject"),
            ask.texts("alt_names"),
            ask.flag("usage_server_auth"),
            ask.flag("usage_client_auth"),
            ask.flag("with_app_info"),
            ask.number("not_before"),
            ask.number("not_after"),
        )
        evidence = None
        if ask.flag("usage_ra_tls"):
            report_data = certificate_report(key)
            evidence = self.quote(report_data), self.attestation(report_data)
        return {"key": pem_key(key), "certificate_chain": self.authority.issue(key, wanted, evidence)}

    def _demo_cert(self) -> str:
        if not self._app_cert:
            asked = Ask({"subject": "demo-cert", "usage_client_auth": True, "usage_ra_tls": True})
            self._app_cert = "\n".join(self.get_tls_key(asked)["certificate_chain"])
        return self._app_cert


def _chain(key: Given) -> list[str]:
    return [link.hex() for link in key.chain]
