"""Eliza's `modelProvider` names: which have an endpoint known here, and which settings name key and model.

Endpoints and default models as of elizaOS core 0.25.9 (`models.ts`), where they still stand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Every name the 0.25.9 validator takes; the first group is all that 0.1.6 takes.
V016 = (
    "openai", "eternalai", "anthropic", "grok", "groq", "llama_cloud", "together", "llama_local", "google",
    "claude_vertex", "redpill", "openrouter", "ollama", "heurist", "galadriel", "falai", "gaianet", "ali_bailian",
    "volengine", "nanogpt", "hyperbolic", "venice", "akash_chat_api",
)  # fmt: skip
V0259 = (
    *V016, "lmstudio", "mistral", "nvidia", "nineteen_ai", "livepeer", "letzai", "deepseek", "infera", "bedrock",
    "atoma", "secret_ai", "nearai",
)  # fmt: skip
FALLBACK = "openai"  # written for a provider the era does not know


@dataclass(frozen=True, slots=True)
class Provider:
    """An endpoint: base URL, the secret that opens it (none: it needs no key), a model to ask for.

    `wire` is how it is spoken to: OpenAI's way, which most have, or one of its own through LangChain.
    """

    url: str
    key: str = ""
    model: str = ""
    wire: str = "openai"


ENDPOINTS: Mapping[str, Provider] = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4o"),
    "anthropic": Provider("https://api.anthropic.com", "ANTHROPIC_API_KEY", wire="anthropic"),
    "google": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GOOGLE_GENERATIVE_AI_API_KEY"),
    "grok": Provider("https://api.x.ai/v1", "GROK_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
    "together": Provider("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "redpill": Provider("https://api.red-pill.ai/v1", "REDPILL_API_KEY", "gpt-4o"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "galadriel": Provider("https://api.galadriel.com/v1/verified", "GALADRIEL_API_KEY", "gpt-4o"),
    "ali_bailian": Provider("https://dashscope.aliyuncs.com/compatible-mode/v1", "ALI_BAILIAN_API_KEY", "qwen-max"),
    "nanogpt": Provider("https://nano-gpt.com/api/v1", "NANOGPT_API_KEY", "gpt-4o"),
    "hyperbolic": Provider("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    "venice": Provider("https://api.venice.ai/api/v1", "VENICE_API_KEY", "llama-3.3-70b"),
    "nvidia": Provider("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "meta/llama-3.3-70b-instruct"),
    "akash_chat_api": Provider("https://chatapi.akash.network/api/v1", "AKASH_CHAT_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek-chat"),
    "ollama": Provider("http://127.0.0.1:11434/v1"),
    "lmstudio": Provider("http://127.0.0.1:1234/v1"),
}
SPELLINGS = {"xai": "grok", "gemini": "google", "google_genai": "google", "claude": "anthropic", "gpt4": "openai"}


# Models that are known to take pictures, by how their names begin or what stands in them; others are sent none.
SEE = re.compile(
    r"^(chatgpt-4o|gpt-4o(?!-(audio|realtime|transcribe|search|mini-(audio|realtime|transcribe|search|tts)))|gpt-4\.1"
    r"|gpt-4-turbo(?!-preview)|gpt-5(?!.*codex)|o1(?!-(mini|preview))|o3(?!-mini)|o4-mini|claude-3|claude-.*-4"
    r"|gemini-|grok-4|pixtral|llava|bakllava|moondream|minicpm-v|llama-?4)|vision|(?<![a-z])vl(?![a-z])"
)


def sees(model: str) -> bool:
    """Is a model of this name known to look at pictures?"""
    return SEE.search(model.lower().rpartition("/")[2]) is not None


def plain_provider(written: str) -> str:
    """`openai` for `OpenAI`, `google` for `gemini`: the name as the 0.25.9 table has it, if it has it."""
    name = written.strip().lower().replace("-", "_").replace(" ", "_")
    return SPELLINGS.get(name, name)


def model_names(provider: str) -> tuple[str, ...]:
    """The settings that name a provider's large model, in 1.x's spelling, 0.x's, and the short one."""
    plain = provider.upper()
    return (f"{plain}_LARGE_MODEL", f"LARGE_{plain}_MODEL", f"{plain}_MODEL")


def url_names(provider: str) -> tuple[str, ...]:
    """The settings that name a provider's endpoint."""
    plain = provider.upper()
    return (f"{plain}_BASE_URL", f"{plain}_API_URL", f"{plain}_SERVER_URL", f"{plain}_API_ENDPOINT")
