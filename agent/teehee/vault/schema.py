"""The vault's tables. What is private is sealed before it gets here; what is counted has a CHECK."""

MIGRATIONS = (
    """
    CREATE TABLE identities (
        key_id TEXT PRIMARY KEY, slot TEXT NOT NULL UNIQUE, agent TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        log_key TEXT NOT NULL, package TEXT NOT NULL, policy TEXT NOT NULL, policy_hash TEXT NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0, stopped INTEGER NOT NULL DEFAULT 0, log INTEGER NOT NULL UNIQUE
    ) WITHOUT ROWID;
    CREATE TABLE secrets (name TEXT PRIMARY KEY, version INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE owner_requests (owner_key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE events (
        agent TEXT NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL, principal TEXT NOT NULL, room TEXT NOT NULL,
        kind TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL, answered_at INTEGER,
        PRIMARY KEY (agent, source, event)
    ) WITHOUT ROWID;
    CREATE TABLE effects (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, source TEXT NOT NULL,
        event TEXT NOT NULL, part INTEGER NOT NULL, verb TEXT NOT NULL, room TEXT NOT NULL, payload BLOB NOT NULL,
        digest TEXT NOT NULL, salt BLOB NOT NULL, state TEXT NOT NULL DEFAULT 'due', detail TEXT NOT NULL DEFAULT '',
        leaf INTEGER NOT NULL, outcome_leaf INTEGER, budget TEXT NOT NULL, epoch INTEGER NOT NULL,
        at INTEGER NOT NULL, settled_at INTEGER,
        CHECK (state IN ('due', 'sending', 'delivered', 'failed', 'unknown', 'expired'))
    );
    CREATE INDEX effects_by_room ON effects (agent, room, seq);
    CREATE INDEX effects_open ON effects (seq) WHERE state IN ('due', 'sending');
    CREATE TABLE budgets (
        key_id TEXT NOT NULL, name TEXT NOT NULL, time_window INTEGER NOT NULL, cap INTEGER NOT NULL,
        reserved INTEGER NOT NULL DEFAULT 0, spent INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (key_id, name, time_window),
        CHECK (reserved >= 0 AND spent >= 0 AND reserved + spent <= cap)
    ) WITHOUT ROWID;
    CREATE TABLE grants (
        id TEXT PRIMARY KEY, key_id TEXT NOT NULL, principal TEXT NOT NULL, verb TEXT NOT NULL,
        recipients TEXT NOT NULL, token TEXT NOT NULL, max_each TEXT NOT NULL, max_total TEXT NOT NULL,
        uses INTEGER NOT NULL, nonce TEXT NOT NULL UNIQUE, expires_at INTEGER NOT NULL, state TEXT NOT NULL,
        CHECK (state IN ('open', 'used', 'revoked', 'expired'))
    ) WITHOUT ROWID;
    CREATE TABLE leaves (place INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
    CREATE TABLE nodes (place INTEGER PRIMARY KEY, hash BLOB NOT NULL);
    CREATE TABLE checkpoints (
        key_id TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'signed',
        PRIMARY KEY (key_id, size), CHECK (state IN ('signed', 'cosigned'))
    ) WITHOUT ROWID;
    CREATE TABLE cosignatures (
        key_id TEXT NOT NULL, size INTEGER NOT NULL, witness TEXT NOT NULL, line TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (key_id, size, witness)
    ) WITHOUT ROWID;
    CREATE TABLE epochs (
        key_id TEXT NOT NULL, epoch INTEGER NOT NULL, leaf INTEGER NOT NULL, at INTEGER NOT NULL,
        state TEXT NOT NULL, PRIMARY KEY (key_id, epoch), CHECK (state IN ('open', 'held', 'lost'))
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE machine (
        one INTEGER PRIMARY KEY CHECK (one = 1), era TEXT NOT NULL, version TEXT NOT NULL, channel_key TEXT NOT NULL
    );
    ALTER TABLE identities ADD COLUMN keys TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE statements (
        key_id TEXT NOT NULL, seq INTEGER NOT NULL, statement BLOB NOT NULL, quote BLOB NOT NULL,
        event_log BLOB NOT NULL, log_size INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key_id, seq)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE machine ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE identities ADD COLUMN salt BLOB;
    """,
    """
    CREATE INDEX events_by_time ON events (at);
    """,
    """
    CREATE TABLE people (
        person INTEGER PRIMARY KEY, key_id TEXT NOT NULL, principal TEXT NOT NULL, sealed BLOB NOT NULL,
        UNIQUE (key_id, principal)
    );
    ALTER TABLE effects ADD COLUMN person INTEGER;
    ALTER TABLE effects ADD COLUMN forgotten_at INTEGER;
    """,
    """
    ALTER TABLE identities ADD COLUMN accounts TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE effects ADD COLUMN choices INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE effects ADD COLUMN reference TEXT NOT NULL DEFAULT '';
    CREATE INDEX effects_by_reference ON effects (agent, reference) WHERE reference != '';
    CREATE TABLE choices (
        effect TEXT NOT NULL, principal TEXT NOT NULL, option INTEGER NOT NULL, event TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (effect, principal)
    ) WITHOUT ROWID;
    CREATE TABLE quiet_chats (
        agent TEXT NOT NULL, chat TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (agent, chat)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE secrets ADD COLUMN origin BLOB;
    """,
)
