"""One question to the simulator: its fields, read as the types the agent's protobuf gives them."""

from typing import Any

from teehee.tee.guest import REPORT_BYTES
from teehee.tee.sim_keys import Failed

Json = Any
Fields = dict[str, Json]


class Ask:
    """What is missing is empty, as in protobuf; what is of another type is Failed."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        return _text(name, self.fields.get(name) or "")

    def octets(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self.text(name).removeprefix("0x"))
        except ValueError:
            raise Failed(f"{name}: expected hex") from None

    def flag(self, name: str) -> bool:
        value = self.fields.get(name, False)
        if value in (True, "true", "1", ""):
            return True
        if value in (False, None, "false", "0"):
            return False
        raise Failed(f"{name}: expected true or false")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.fields.get(name) or []
        if type(value) is not list:
            raise Failed(f"{name}: expected a list of strings")
        return tuple(_text(name, one) for one in value)

    def number(self, name: str) -> int | None:
        value = self.fields.get(name)
        if value is not None and (type(value) is not int or value < 0):
            raise Failed(f"{name}: expected a number")
        return value

    def report_data(self) -> bytes:
        data = self.octets("report_data")
        if len(data) > REPORT_BYTES:
            raise Failed("Report data is too long")
        return data.ljust(REPORT_BYTES, b"\x00")


def _text(name: str, value: Json) -> str:
    if type(value) is not str or value.encode(errors="replace") != value.encode(errors="surrogatepass"):
        raise Failed(f"{name}: expected a string")
    return value
