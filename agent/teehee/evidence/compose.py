"""The app-compose, which says what a dstack machine runs: its hash, its fields, and whom it lets in.

Source: dstack-types lib.rs (AppCompose), os/common/rootfs/app-compose.sh; the Compose specification.

    {"manifest_version":2,"name":"ada","runner":"docker-compose","docker_compose_file":"services:\\n  agent:\\n …", …}

Its hash is SHA-256 of the bytes the machine was given: a file that was read and written again is another file. A quote
shows that this file runs; `lint` shows what a stranger can do then. It reads this file, not the images it names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from teehee.errors import VerificationError
from teehee.evidence import canonical, composefile, services
from teehee.evidence.canonical import Json

MAX_COMPOSE_BYTES = 262_144
MAX_NAME_CHARACTERS = 256
SEVERITIES = ("grave", "serious", "note")

_FIELDS: dict[str, tuple[type, Json]] = {
    **dict.fromkeys(("name", "runner", "docker_compose_file", "pre_launch_script", "bash_script"), (str, "")),
    **dict.fromkeys(("key_provider", "key_provider_id", "storage_fs"), (str, "")),
    **dict.fromkeys(("kms_enabled", "local_key_provider_enabled", "no_instance_id"), (bool, False)),
    **dict.fromkeys(("public_logs", "public_sysinfo"), (bool, False)),
    **dict.fromkeys(("public_tcbinfo", "secure_time"), (bool, True)),
    **{"allowed_envs": (list, ()), "event_log_version": (int, 1)},
}
# Fields that open nothing.
_HARMLESS = frozenset(
    "manifest_version features docker_config gateway_enabled tproxy_enabled swap_size port_policy requirements "
    "verity_volumes snapshotter default_gateway_domain init_script".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCompose:
    """An app-compose: fields as dstack reads them, with its defaults. `key_provider` is the one it comes to."""

    name: str
    runner: str
    docker_compose_file: str
    pre_launch_script: str
    init_scripts: tuple[str, ...]
    bash_script: str
    allowed_envs: tuple[str, ...]
    key_provider: str
    key_provider_id: str
    no_instance_id: bool
    public_logs: bool
    public_sysinfo: bool
    public_tcbinfo: bool
    secure_time: bool
    storage_fs: str
    event_log_version: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: how badly, a code that stays, where, what is there, what a stranger can do, the cure."""

    severity: str
    code: str
    where: str
    found: str
    stranger: str
    mend: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def compose_hash(data: bytes) -> bytes:
    """The compose hash of these bytes.

    1. They are at most 256 KiB, as dstack takes them.
    """
    if len(data) > MAX_COMPOSE_BYTES:  # 1
        raise VerificationError("compose.1", f"expected at most {MAX_COMPOSE_BYTES} bytes, got {len(data)}")
    return sha256(data).digest()


def parse(data: bytes) -> AppCompose:
    """The app-compose these bytes are.

    1. They are at most 256 KiB.
    2. They are JSON (steps json.2 to json.7): an object.
    3. Every field that is read here has its type; null is the default.
    4. Event log version and key provider are ones there are.
    """
    compose_hash(data)  # 1
    members = canonical.loads(data, limit=MAX_COMPOSE_BYTES)
    if type(members) is not dict:  # 2
        raise VerificationError("compose.2", f"expected a JSON object, got a {type(members).__name__}")
    fields = {name: _field(members, name) for name in _FIELDS}  # 3
    scripts = members.get("init_script") or []
    fields["init_scripts"] = _texts([scripts] if type(scripts) is str else scripts, "init_script")  # 3
    fields["allowed_envs"] = _texts(list(fields["allowed_envs"]), "allowed_envs")  # 3
    kms, local = fields.pop("kms_enabled"), fields.pop("local_key_provider_enabled")
    fields["key_provider"] = fields["key_provider"] or ("kms" if kms else "local" if local else "none")
    if fields["key_provider"] not in ("kms", "local", "tpm", "none") or fields["event_log_version"] not in (1, 2):  # 4
        got = f"{fields['key_provider']!r:.64}, {fields['event_log_version']}"
        raise VerificationError("compose.4", f"expected kms, local, tpm or none, and version 1 or 2, got {got}")
    unknown = tuple(sorted(members.keys() - _FIELDS.keys() - _HARMLESS))
    return AppCompose(**fields, unknown=unknown)


def lint(app: AppCompose) -> tuple[Finding, ...]:
    """What a stranger can do with an agent that runs this, the worst first. With nothing but notes it is closed."""
    found = [*_fields(app), *_envs(app.allowed_envs), *_scripts(app), *_secrets(app)]
    try:
        found += services.check(composefile.read(app.docker_compose_file)) if app.runner != "bash" else ()
    except VerificationError as error:
        found.append(("unreadable-compose", "docker_compose_file", str(error)))
    findings = [_finding(*one) for one in dict.fromkeys(found)]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


_USED_VARIABLE = re.compile(r"\$\{?!?([A-Za-z_][A-Za-z0-9_]*)")
_ROOT_ENV = re.compile(r"DSTACK_ROOT_.*|.*AUTHORIZED_KEYS.*|.*SSH_.*KEYS?.*", re.IGNORECASE)
_CODE_ENV = re.compile(
    r"(?:PATH|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|IFS|LD_.*|PYTHON.*|NODE_OPTIONS|NODE_PATH|PERL5.*|RUBY.*"
    r"|JAVA_TOOL_OPTIONS|GIT_.*|DOCKER_.*|COMPOSE_.*|APP_COMPOSE_FILE|NERDCTL_.*|PIP_.*|UV_.*|NPM_.*)",
    re.IGNORECASE,
)
_STEERING_ENV = re.compile(
    r"(?:^|_)(?:UR[LI]|ENDPOINT|HOST|BASE|PROXY|MODEL|PROMPT|CHARACTER|PLUGIN|POLICY|OWNER|ADMIN)S?(?:_|$)",
    re.IGNORECASE,
)
_SECRET_SHAPE = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{20}|\bgh[pousr]_[A-Za-z0-9]{30}"
    r"|\bgithub_pat_[A-Za-z0-9_]{22}|\bxox[abpr]-[A-Za-z0-9-]{10}|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}"
    r"|\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b"
)


def _fields(app: AppCompose) -> Iterator[services.Found]:
    for code, where, is_wrong in (
        ("unknown-runner", "runner", app.runner not in ("docker-compose", "nerdctl-compose", "bash")),
        ("bash-runner", "runner", app.runner == "bash"),
        ("no-key-provider", "key_provider", app.key_provider == "none"),
        ("local-key-provider", "key_provider", app.key_provider == "local"),
        ("tpm-key-provider", "key_provider", app.key_provider == "tpm"),
        ("unpinned-key-provider", "key_provider_id", app.key_provider == "kms" and not app.key_provider_id),
        ("no-instance-id", "no_instance_id", app.no_instance_id),
        ("public-logs", "public_logs", app.public_logs),
        ("public-sysinfo", "public_sysinfo", app.public_sysinfo),
        ("hidden-tcbinfo", "public_tcbinfo", not app.public_tcbinfo),
        ("secure-time-off", "secure_time", not app.secure_time),
        ("ext4-storage", "storage_fs", app.storage_fs not in ("", "zfs")),
        ("pre-launch-script", "pre_launch_script", bool(app.pre_launch_script)),
    ):
        if is_wrong:
            yield code, where, str(getattr(app, where))
    for name in app.unknown:
        yield "unknown-field", name, name


def _envs(names: tuple[str, ...]) -> Iterator[services.Found]:
    for name in names:
        bare = name.strip()[:MAX_NAME_CHARACTERS]
        code = "steering-env" if _STEERING_ENV.search(bare) else "allowed-env"
        code = "code-env" if _CODE_ENV.fullmatch(bare) else code
        yield "root-env" if _ROOT_ENV.fullmatch(bare) else code, "allowed_envs", name


def _scripts(app: AppCompose) -> Iterator[services.Found]:
    scripts = {f"init_script[{index}]": script for index, script in enumerate(app.init_scripts)}
    for where, script in {
        "pre_launch_script": app.pre_launch_script,
        "bash_script": app.bash_script,
        **scripts,
    }.items():
        yield from services.program(where, script)
        for name in sorted(set(_USED_VARIABLE.findall(script)) & set(app.allowed_envs)):
            yield "env-driven-script", where, f"${name}"


def _secrets(app: AppCompose) -> Iterator[services.Found]:
    texts = {"docker_compose_file": app.docker_compose_file, "pre_launch_script": app.pre_launch_script}
    texts |= {"bash_script": app.bash_script, "init_script": "\n".join(app.init_scripts)}
    for where, script in texts.items():
        if _SECRET_SHAPE.search(script):
            yield "secret-in-compose", where, "a key by its shape"  # and never the key itself


def _finding(code: str, where: str, found: str) -> Finding:
    entry = _catalogue()[code]
    what = " ".join(found[:400].split())[:160]
    return Finding(entry["severity"], code, where[:160], what, entry["stranger"], entry["mend"])


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    data = files("teehee.evidence").joinpath("data", "compose_findings.json").read_bytes()
    entries: Mapping[str, Mapping[str, str]] = canonical.loads(data, limit=MAX_COMPOSE_BYTES)
    return entries


def _field(members: dict[str, Json], name: str) -> Json:
    kind, default = _FIELDS[name]
    value = members.get(name)
    if value is not None and type(value) is not kind:  # 3
        raise VerificationError("compose.3", f"{name}: expected a {kind.__name__}, got a {type(value).__name__}")
    return default if value is None else value


def _texts(values: Json, name: str) -> tuple[str, ...]:
    if type(values) is not list or not all(type(value) is str for value in values):  # 3
        raise VerificationError("compose.3", f"{name}: expected an array of texts, got other JSON")
    return tuple(values)
