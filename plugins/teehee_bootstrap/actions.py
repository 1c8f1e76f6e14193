"""REPLY, IGNORE, NONE: to answer, to stay silent on purpose, to have nothing else to do."""

from teehee.plugin import Result, Turn, action


@action("REPLY", similes=("RESPOND", "ANSWER", "SEND_REPLY"))
async def reply(turn: Turn) -> Result:
    """Answer in the room with the words in <text>. The usual choice."""
    return Result(turn.reply)


@action("IGNORE", similes=("STOP_TALKING", "STOP_CHATTING"))
async def ignore(turn: Turn) -> Result:
    """Say nothing, when the talk is over or was not meant for you."""
    return Result()


@action("NONE", similes=("NO_ACTION",))
async def none(turn: Turn) -> Result:
    """Do nothing beyond what was said."""
    return Result()
