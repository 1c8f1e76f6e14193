"""The mind's tables, under Eliza's names (elizaOS plugin-sql), and the inbox that makes a turn durable."""

KNOWLEDGE_WORDS = (
    "CREATE VIRTUAL TABLE knowledge_words USING fts5 (agent_id UNINDEXED, text, tokenize = 'porter unicode61');"
)
MIGRATIONS = (
    """
    CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE entities (
        id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, names TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE rooms (
        id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, channel_id TEXT NOT NULL,
        world_id TEXT, name TEXT NOT NULL DEFAULT '', metadata TEXT NOT NULL DEFAULT '{}', created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE participants (
        entity_id TEXT NOT NULL, room_id TEXT NOT NULL, agent_id TEXT NOT NULL, room_state TEXT,
        created_at INTEGER NOT NULL, PRIMARY KEY (room_id, entity_id)
    ) WITHOUT ROWID;
    CREATE TABLE memories (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, created_at INTEGER NOT NULL,
        content TEXT NOT NULL, entity_id TEXT NOT NULL, agent_id TEXT NOT NULL, room_id TEXT NOT NULL, world_id TEXT,
        "unique" INTEGER NOT NULL DEFAULT 1, metadata TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX memories_by_room ON memories (room_id, type, seq);
    CREATE TABLE inbox (
        seq INTEGER PRIMARY KEY, agent TEXT NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL,
        body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open', code TEXT NOT NULL DEFAULT '', answer TEXT,
        at INTEGER NOT NULL, CHECK (state IN ('open', 'done', 'ended'))
    );
    CREATE UNIQUE INDEX inbox_by_event ON inbox (agent, source, event);
    CREATE INDEX inbox_open ON inbox (seq) WHERE state = 'open';
    """,
    """
    CREATE INDEX memories_by_agent ON memories (agent_id, type, seq) WHERE type = 'knowledge';
    """
    + KNOWLEDGE_WORDS,
    """
    CREATE TABLE turns (
        seq INTEGER PRIMARY KEY, agent_id TEXT NOT NULL, room_id TEXT NOT NULL, entity_id TEXT NOT NULL,
        at INTEGER NOT NULL, state TEXT NOT NULL, made BLOB NOT NULL, came BLOB, effects TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX turns_by_agent ON turns (agent_id, seq, state);
    CREATE TABLE turn_states (
        agent_id TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (agent_id, digest)
    ) WITHOUT ROWID;
    """,
)
