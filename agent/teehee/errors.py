"""Every error teehee raises on purpose, named by what the caller should do.

TeeheeError                     .hint is shown to people; exit code per branch
 +- ConfigError                 a person must change something; exit 2
 +- PluginError(plugin)         that plugin is out; the agent goes on
 +- Unavailable(retry_after)    the outside world, for now; retried with backoff; exit 4
 +- Refused(rule)               a rule said no; recorded, never retried blindly; exit 3
 +- ActionFailed                final for this call; the model sees the sentence
 |   +- AskAgain                the model's answer was wrong in form; asked once more with the reason
 +- VerificationError(step)     evidence did not hold; exit 5
"""


class TeeheeError(Exception):
    """Something teehee can explain: `str(error)` says what, `hint` says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(TeeheeError):
    """A person must change a file, a setting or the machine; never retried."""

    exit_code = 2


class PluginError(TeeheeError):
    """One plugin is out, by name; the agent goes on without it."""

    def __init__(self, plugin: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"plugin {plugin!r}: {message}", hint=hint)
        self.plugin = plugin


class Unavailable(TeeheeError):
    """The outside world does not answer for now; worth trying again after `retry_after` seconds."""

    exit_code = 4

    def __init__(self, message: str, *, code: str = "unavailable", retry_after: float = 1.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after = retry_after


class Refused(TeeheeError):
    """A rule said no. `rule` is its public name, such as `base.already-answered`."""

    exit_code = 3

    def __init__(self, rule: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{rule}: {message}", hint=hint)
        self.rule = rule
        self.reason = message


class ActionFailed(TeeheeError):
    """An action did not work out; final for this call, the model reads the sentence.

    `code` says what people are told when the whole turn ends by it.
    """

    def __init__(self, message: str, *, code: str = "failed", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class AskAgain(ActionFailed):
    """The model's answer was wrong in form; it is asked once more and told why."""


class VerificationError(TeeheeError):
    """Evidence did not hold at a numbered step; never downgraded to a warning."""

    exit_code = 5

    def __init__(self, step: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"step {step}: {message}", hint=hint)
        self.step = step
