"""Eliza's names for plugins and clients, and what answers to each of them here."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

REQUIRED_MARK = "!"  # a character may write "dice!": without this plugin the agent does not start
PREFIX = re.compile(r"^(?:eliza(?:os)?[-_])?(?:plugin|client|adapter|teehee)[-_]")
VERSION = re.compile(r"(?<=.)@[\w.^~*-]+$")

# Other spellings of one name.
SAME = {
    "twitter": "x", "client-auto": "auto", "google-genai": "google", "google-generative-ai": "google",
    "gemini": "google", "local": "local-ai", "llama": "local-ai", "llama-local": "local-ai", "node": "bootstrap",
    "http": "direct", "rest": "direct", "web": "direct", "postgres": "sql", "sqlite": "sql", "pglite": "sql",
    "sqljs": "sql", "mongodb": "sql", "supabase": "sql", "libsql": "sql", "rag": "knowledge",
    "tee-marlin": "tee", "tee-verifiable-log": "tee-log", "verifiable-log": "tee-log", "phala": "tee",
}  # fmt: skip

# What Eliza keeps in plugins and teehee has in itself.
BUILT_IN = {
    "auto": "schedules come with the clients that post",
    "direct": "the gate serves the web page",
    "sql": "the mind keeps its own SQLite database",
    "knowledge": "`knowledge` in the character is read, split and searched without a plugin",
    "tee": "keys and quotes come from the vault",
    "tee-log": "the vault writes a Merkle log of everything that leaves",
    "core": "the runtime itself",
}

# Plugins that only bring a model: the model settings of the character say the same.
MODELS = (
    "openai", "anthropic", "google", "groq", "openrouter", "ollama", "local-ai", "deepseek", "mistral", "xai", "grok",
    "venice", "together", "nvidia", "bedrock", "redpill", "lmstudio", "heurist", "galadriel", "gaianet", "hyperbolic",
    "livepeer", "letzai", "infera", "atoma", "nearai", "secretai", "akash-chat-api", "elizacloud", "embedding",
)  # fmt: skip

# Names Eliza's registry knows and nothing here answers to yet.
ABSENT = (
    "discord", "farcaster", "lens", "slack", "instagram", "simsai", "github", "whatsapp", "bluesky", "reddit",
    "nostr", "linkedin", "devin", "alexa", "eliza-home", "xmtp", "telegram-account", "gitbook", "web-search",
    "browser", "video-understanding", "pdf", "image", "image-generation", "video-generation", "speech-tts",
    "elevenlabs", "obsidian", "omniflix", "dominos", "coinbase", "coingecko", "coinmarketcap", "birdeye",
    "dexscreener", "goat", "solana-agent-kit", "rss", "news", "giphy", "gitcoin-passport", "0g", "0x",
    "3d-generation", "abstract", "aptos", "avalanche", "binance", "cosmos", "cronos", "flow", "fuel", "icp",
    "multiversx", "near", "starknet", "sui", "ton", "tron", "zksync-era", "story", "polygon", "hyperliquid",
    "intiface", "nft-generation", "nosana", "mcp", "trust", "whisper", "s3-storage", "stagehand", "forms", "planning",
    "autonomous", "goals", "todo",
)  # fmt: skip

OURS = ("bootstrap", "telegram", "x", "evm", "solana", "inference")
Kind = Literal["plugin", "built-in", "model", "absent"]


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What answers to a written name: `kind` says how, `name` is ours, `note` a sentence for people."""

    kind: Kind
    name: str
    note: str = ""


def plain_name(written: str) -> str:
    """`dice` for every way a character may write it: `@elizaos/plugin-dice`, `plugin-dice`, `Dice!`."""
    name = written.strip().rstrip(REQUIRED_MARK).rstrip("/").replace("\\", "/")
    name = VERSION.sub("", name.rsplit("/", 1)[-1]).lower()
    while (shorter := PREFIX.sub("", name, count=1)) != name and shorter:
        name = shorter
    return SAME.get(name, name)


def counterpart(written: str, installed: Iterable[str] = ()) -> Counterpart:
    """What answers to the plugin or client name `written`, given the plugins that are installed."""
    name, here = plain_name(written), tuple(installed)
    if name in here:
        return Counterpart("plugin", name)
    if name in BUILT_IN:
        return Counterpart("built-in", name, BUILT_IN[name])
    if name in MODELS:
        return Counterpart("model", name, "which model answers is said by the model settings")
    if name.endswith((".ts", ".js", ".mjs")) or written.strip().startswith(("./", "../", "/")):
        return Counterpart("absent", name, "it is a TypeScript file, which only elizaOS runs")
    if name in ABSENT or name in OURS:
        return Counterpart("absent", name, "nothing answers to it in this release")
    known = (*here, *OURS, *BUILT_IN, *MODELS, *ABSENT)
    near = nearest(name, known)
    return Counterpart("absent", name, f"did you mean {near!r}?" if near else "")


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that `word` was most likely meant to be; empty when none is near."""
    found = difflib.get_close_matches(word[:64], list(known), n=1, cutoff=0.75)
    return found[0] if found else ""
