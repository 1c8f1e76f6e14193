"""What the agent knows of the chat it is in."""

from teehee.plugin import Turn, provider

PLACES = {"DM": "a private chat with one person", "GROUP": "a group, where everybody reads along"}


@provider("TELEGRAM_CHAT")
async def chat(turn: Turn) -> str:
    """Where on Telegram this is said, and to what it replies."""
    message = turn.message
    if message.source != "telegram":
        return ""
    title = str(message.content.get("room", ""))
    lines = [f"This is Telegram: {PLACES.get(message.room_type, 'a chat')}{f', {title!r}' if title else ''}."]
    if message.room_type != "DM":
        lines.append("Say nothing here that was told to you in private.")
    if isinstance(quote := message.content.get("quote"), dict):
        who, said = quote.get("name") or "somebody", quote.get("text", "")
        lines.append(f"{message.name} replies to {f'what {who} said: {said!r}' if said else f'a message of {who}'}")
    if isinstance(choice := message.content.get("choice"), dict):
        lines.append(f"{message.name} pressed the button {choice.get('label', '')!r} under a message of yours.")
    return "\n".join(lines)
