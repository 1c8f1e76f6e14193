"""The sentences shown when a turn ends without words of the agent's own.

The mind sends a code only; a person reads our sentence, never a provider's.
"""

NOTICES = {
    "ignored": "{name} read this and chose not to answer.",
    "model-down": "{name} cannot reach its model now. Your message is kept and will be answered when it is back.",
    "model-slow": "{name}'s model took too long. Your message is kept and will be tried again.",
    "model-busy": "{name}'s model is at its rate limit. Your message is kept and will be tried again.",
    "model-denied": "{name}'s model refused the credentials it was given. The operator must mend MODEL_KEY.",
    "model-quota": "{name}'s model account has nothing left. Your message is kept until the operator has topped it up.",
    "model-gone": "{name}'s model is not there any more. Your message is kept until the operator has named another.",
    "model-too-long": "{name}'s model cannot take in this much at once. Nothing was sent.",
    "model-refused": "{name}'s model would not take this message. Nothing was sent.",
    "model-unfit": "{name}'s model gave an answer that cannot be shown, twice. Nothing was sent.",
    "budget-day": "{name} has used up today's budget for thinking. It renews at 00:00 UTC: please write again then.",
    "budget-room": "This room has used up its share of {name}'s budget for today. It renews at 00:00 UTC: please write "
    "again then.",
    "budget-user": "You have used up your share of {name}'s budget for today. It renews at 00:00 UTC: please write "
    "again then.",
    "later": "{name} cannot answer right now. Your message is kept and will be answered.",
    "refused": "A rule of {name}'s policy kept this answer in.",
    "stopped": "{name} has been stopped by its owner and says nothing until resumed.",
    "failed": "Something went wrong inside {name}; the log of the mind has the reason.",
}


def sentence(code: str, name: str) -> str:
    """The sentence for `code`; an unknown code reads as a failure, so nothing unvetted is ever shown."""
    return NOTICES.get(code, NOTICES["failed"]).format(name=name)
