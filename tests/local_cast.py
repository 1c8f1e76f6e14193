"""Characters and actions the tests of the local model share."""

from pydantic import BaseModel, Field

from teehee import character as characters
from teehee.plugin import Character, Line, Result, Turn, action
from teehee.supervisor import plan as plans

WREN = characters.read(plans.built_in()["wren"])[0].character
TALK = (Line("{{name1}}", "hello"), Line("Pip", "psst, hello"))
PIP = Character("00000000-0000-0000-0000-00000000000b", "Pip", bio=("A goblin librarian.",), message_examples=(TALK,))


class Roll(BaseModel):
    sides: int = Field(default=6, ge=2, le=100)


class Send(BaseModel):
    to: str = Field(max_length=42)


@action("ROLL_DICE", similes=("THROW_THE_DIE", "FLIP_COIN"))
async def roll(turn: Turn, given: Roll) -> Result:
    """Roll a die when people ask for luck."""
    return Result(f"rolled one of {given.sides}")


@action("SEND_TOKEN", similes=("TRANSFER_TOKEN",))
async def send(turn: Turn, given: Send) -> Result:
    """Send tokens to an address."""
    return Result(f"sent to {given.to}")


@action("OPEN_SAFE", fits=lambda turn: False)
async def closed(turn: Turn) -> Result:
    """Open the safe."""
    return Result("opened")
