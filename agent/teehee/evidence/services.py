"""What the services of a Docker Compose file let in: each by itself, and one through another.

Source: the Compose specification; dstack docs/security/security-best-practices.md.

Every rule gives a code of `data/compose_findings.json`. What is not known to open nothing is reported: a key that has
no rule here counts as open.
"""

import re
from collections.abc import Iterator, Mapping

from teehee.evidence import composefile
from teehee.evidence.composefile import Yaml

Found = tuple[str, str, str]
"""A finding's code, where it is, and what is there."""

_SOCKETS = tuple(f"/run/{name}.sock" for name in ("dstack", "tappd", "dstack/dstack", "dstack/tappd"))
_COMMANDS_DOCKER = ("/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman")
_OTHERS_DATA = ("/var/lib/docker", "/var/lib/containerd", "/var/log", "/run/log", "/proc")
_HOST_SHARED = ("/dstack", "/tapp")
_TOP_LEVEL = frozenset(("version", "name", "services", "volumes", "networks", "configs", "secrets", "include"))
# Keys of a service that are looked at here, and keys that open nothing.
_LOOKED_AT = frozenset(
    "image build privileged use_api_socket pid ipc uts userns_mode cgroup network_mode cap_add security_opt devices "
    "device_cgroup_rules logging env_file label_file volumes_from volumes environment command entrypoint healthcheck "
    "post_start pre_stop".split()
)
_OPEN_NOTHING = frozenset(
    "annotations attach cap_drop configs container_name cpu_count cpu_percent cpu_quota cpu_shares cpus cpuset "
    "depends_on deploy dns dns_opt dns_search domainname expose extra_hosts group_add hostname init labels links "
    "mac_address mem_limit mem_reservation memswap_limit networks oom_kill_disable oom_score_adj pids_limit platform "
    "ports profiles pull_policy read_only restart scale secrets shm_size stdin_open stop_grace_period stop_signal "
    "storage_opt sysctls tmpfs tty ulimits user working_dir".split()
)
_LOCAL_LOGS = ("json-file", "local", "journald", "none")
# What Docker gives to every container.
_USUAL_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT".split()
)

_PINNED = re.compile(r"[^\s$@]+@sha256:[0-9a-f]{64}")
_COMMAND_ENDS = re.compile(r"[;&|\n()`]+")
_IN_PROGRAMS = {
    "ssh-access": re.compile(r"authorized_keys|\bsshd\b|openssh|dropbear", re.IGNORECASE),
    "root-password": re.compile(r"\bchpasswd\b|\bpasswd\b|/etc/shadow"),
    "user-config": re.compile(r"user[-_]config|\.host-shared"),
    "remote-script": re.compile(r"<\(\s*(?:curl|wget)\b|(?:\beval|\s-c)\s+[\"']?\$\(\s*(?:curl|wget)\b"),
    "socket-relayed": re.compile(r"UNIX-CONNECT:[^\s,]{0,100}(?:dstack|tappd|docker)\.sock", re.IGNORECASE),
}
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "python", "python3", "perl", "node"))
_REMOTE_SHELLS = re.compile(
    r"(?:sshd|openssh|dropbear|ttyd|gotty|wetty|shellinabox|code-server|jupyter)", re.IGNORECASE
)
_INSTALLERS = frozenset(("apt-get", "apt", "apk", "pip", "pip3", "pipx", "uv", "npm", "yarn", "pnpm", "opkg", "cargo"))
_CONTAINERS = frozenset(("docker", "nerdctl", "podman", "ctr"))
_CONTAINER_VERBS = frozenset(("run", "exec", "create", "load", "import", "build"))

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|AUTH_?KEY|TOKEN|MNEMONIC|SEED_?PHRASE", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:.{0,7}|[0-9.]+|0x[0-9a-fA-F]{40}|[a-z]+://[^@]*|[/.].*|true|false)")


def check(document: Yaml) -> Iterator[Found]:
    """What is wrong with a Compose file, as `composefile.read` gives it."""
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict) or not services:
        yield "unreadable-compose", "services", "no services"
        return
    for key in document:
        if key not in _TOP_LEVEL and not key.startswith("x-"):
            yield "unknown-service-key", key, key
    if "include" in document:
        yield "unmeasured-file", "include", "include"
    volumes = document.get("volumes")
    for name, service in services.items():
        yield from _service(f"services.{name}", service if isinstance(service, dict) else {}, volumes)
    yield from _declared(document)
    yield from _together(services, volumes)


def _service(where: str, service: dict[str, Yaml], volumes: Yaml) -> Iterator[Found]:
    yield from _image(where, service)
    yield from _walls(where, service)
    for mount in composefile.mounts(service, volumes):
        for code in _mount(mount):
            yield code, f"{where}.{mount.where}", mount.path or mount.image
    for key, value in service.items():
        if key not in _LOOKED_AT | _OPEN_NOTHING and not key.startswith("x-"):
            yield "unknown-service-key", f"{where}.{key}", key
        if key not in ("environment", "image", "labels"):
            if variable := next((each for each in composefile.texts(value) if composefile.has_variable(each)), ""):
                yield "env-driven-service", f"{where}.{key}", variable
        if key in ("command", "entrypoint", "healthcheck", "post_start", "pre_stop"):
            yield from program(f"{where}.{key}", " ".join(composefile.texts(value)))
        if key in ("env_file", "label_file"):
            yield "unmeasured-file", f"{where}.{key}", " ".join(composefile.texts(value))
    for name, value in composefile.items(service.get("environment")):
        given = str(value or "")
        if _SECRET_NAME.search(name) and not _NO_SECRET.fullmatch(given) and not composefile.has_variable(given):
            yield "secret-in-compose", f"{where}.environment", name


def _image(where: str, service: dict[str, Yaml]) -> Iterator[Found]:
    image = service.get("image")
    if "build" in service:
        yield "build", f"{where}.build", "build"
    elif not isinstance(image, str):
        yield "no-image", where, "no image"
    if isinstance(image, str):
        if composefile.has_variable(image):
            yield "variable-image", f"{where}.image", image
        elif not _PINNED.fullmatch(image):
            yield "unpinned-image", f"{where}.image", image
        if _REMOTE_SHELLS.search(image):
            yield "remote-shell", f"{where}.image", image


def _walls(where: str, service: dict[str, Yaml]) -> Iterator[Found]:
    if composefile.is_true(service.get("privileged")):
        yield "privileged", f"{where}.privileged", str(service["privileged"])
    if composefile.is_true(service.get("use_api_socket")):
        yield "docker-socket", f"{where}.use_api_socket", str(service["use_api_socket"])
    for key in ("pid", "ipc", "uts", "userns_mode", "cgroup", "network_mode"):
        value = str(service.get(key) or "")
        if value == "host":
            yield "host-network" if key == "network_mode" else "host-namespace", f"{where}.{key}", value
        elif value.startswith(("service:", "container:")) and key != "network_mode":
            yield "sidecar-reads-others", f"{where}.{key}", value
    if "volumes_from" in service:
        yield "sidecar-reads-others", f"{where}.volumes_from", " ".join(composefile.texts(service["volumes_from"]))
    for added in composefile.texts(service.get("cap_add")):
        if added.upper().removeprefix("CAP_") not in _USUAL_CAPABILITIES:
            yield "capabilities", f"{where}.cap_add", added
    for option in composefile.texts(service.get("security_opt")):
        if not option.startswith("no-new-privileges"):
            yield "capabilities", f"{where}.security_opt", option
    for key in ("devices", "device_cgroup_rules"):
        if key in service:
            yield "devices", f"{where}.{key}", " ".join(composefile.texts(service[key]))
    logging = service.get("logging")
    driver = logging.get("driver") if isinstance(logging, dict) else None
    if driver is not None and driver not in _LOCAL_LOGS:
        yield "remote-logging", f"{where}.logging", str(driver)


def _mount(mount: composefile.Mount) -> Iterator[str]:
    if mount.image and not _PINNED.fullmatch(mount.image):
        yield "unpinned-image"
    if not mount.path:
        return
    codes = {"docker-socket": _COMMANDS_DOCKER, "sidecar-reads-others": _OTHERS_DATA, "user-config": _HOST_SHARED}
    reached = [code for code, targets in codes.items() if any(_reaches(mount.path, target) for target in targets)]
    yield from reached
    if not reached and mount.path not in _SOCKETS:
        yield "host-mount"


def _reaches(path: str, target: str) -> bool:
    """Whether a mount of `path` holds `target`, or lies in it."""
    return path in ("/", target) or target.startswith(f"{path}/") or path.startswith(f"{target}/")


def _declared(document: dict[str, Yaml]) -> Iterator[Found]:
    """Volumes, configs and secrets, whose content should be in this file or made in the machine."""
    for kind in ("configs", "secrets"):
        for name, entry in composefile.items(document.get(kind)):
            members = entry if isinstance(entry, dict) else {}
            if members.keys() & {"file", "external"}:
                yield "unmeasured-file", f"{kind}.{name}", str(members.get("file", "external"))
            if "environment" in members or any(map(composefile.has_variable, composefile.texts(entry))):
                yield "env-driven-service", f"{kind}.{name}", str(members.get("environment", "a variable"))
    for name, volume in composefile.items(document.get("volumes")):
        driver = volume.get("driver") if isinstance(volume, dict) else None
        device = composefile.device(volume)
        if driver not in (None, "local") or (device and not device.startswith("/")):
            yield "unmeasured-file", f"volumes.{name}", str(device or driver)


def _together(services: Mapping[str, Yaml], volumes: Yaml) -> Iterator[Found]:
    """What containers can do to one another."""
    with_keys: dict[str, None] = {}
    users: dict[str, list[str]] = {}
    for name, service in services.items():
        mounts = list(composefile.mounts(service, volumes)) if isinstance(service, dict) else []
        if any(mount.path and any(_reaches(mount.path, socket) for socket in _SOCKETS) for mount in mounts):
            with_keys[name] = None
        for volume in dict.fromkeys(mount.volume for mount in mounts if mount.volume):
            users.setdefault(volume, []).append(name)
    if len(with_keys) > 1:
        yield "second-dstack-socket", "services", ", ".join(with_keys)
    for name in services:
        if name not in with_keys and len(services) > 1:
            yield "sidecar", f"services.{name}", name
    for volume, names in users.items():
        if len(names) > 1:
            yield "shared-volume", f"volumes.{volume}", ", ".join(names)


def program(where: str, script: str) -> Iterator[Found]:
    """What is wrong with commands, be they a script of the system or a service's own."""
    script = script.replace("\\\n", " ")
    for code, pattern in _IN_PROGRAMS.items():
        if match := pattern.search(script):
            yield code, where, match[0]
    for line in script.splitlines():
        fetched = False
        for words in map(str.split, line.split("|")):
            if fetched and _SHELLS & set(words[:2]):
                yield "remote-script", where, line
            fetched |= bool({"curl", "wget"} & set(words))
    for command in _COMMAND_ENDS.split(script):
        words = [word.strip("\"'") for word in command.split()]
        if _INSTALLERS & set(words) and {"install", "add"} & set(words):
            yield "fetches-code", where, command
        if _CONTAINERS & set(words) and _CONTAINER_VERBS & set(words) and "@sha256:" not in command:
            yield "script-container", where, command
        if remote := next((word for word in words if _REMOTE_SHELLS.search(word.rpartition("/")[2])), ""):
            yield "remote-shell", where, remote
