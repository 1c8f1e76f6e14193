"""What the agent can do on Telegram beside talking."""

from pydantic import BaseModel, Field

from teehee.plugin import Part, Result, Turn, action

# Those every chat allows to everybody (Bot API, ReactionTypeEmoji).
EMOJIS = "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🎉 🤩 🙏 👌 🥱 😍 🐳 💯 🤣 ⚡ 🏆 💔 🤨 😐 🍓 👀 😴 😭 🤓 🙈 🤝 🤗 🫡 😎".split()


class React(BaseModel):
    emoji: str = Field(default="👍", description=f"one of {' '.join(EMOJIS[:12])} and the like")


def _on_telegram(turn: Turn) -> bool:
    return turn.message.source == "telegram" and turn.message.kind == "message"


@action("REACT", similes=("REACT_TO_MESSAGE", "ACKNOWLEDGE"), fits=_on_telegram)
async def react(turn: Turn, ask: React) -> Result:
    """React to the message with an emoji, when a word would be too much or as a quick sign beside an answer."""
    emoji = ask.emoji.strip().removesuffix("\ufe0f")
    chosen = emoji if emoji in EMOJIS else "👍"
    return Result(data={"emoji": chosen}, effects=(Part("telegram.set_reaction", "", chosen),))
