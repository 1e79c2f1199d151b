-- The first tables. One text for both databases; `BIGINT PRIMARY KEY` and the marks at the end of
-- some tables are read by the migration for SQLite. `pos` is always a position of the one stream.
-- Times (`…_ts`) are milliseconds since 1970.

-- Accounts and sessions -----------------------------------------------------------------------

CREATE TABLE account (
    user_id       TEXT NOT NULL PRIMARY KEY,
    kind          TEXT NOT NULL,                   -- user, guest, appservice
    password_hash TEXT,                            -- PHC string (argon2id); NULL: no password login
    admin         BOOLEAN NOT NULL,
    created_ts    BIGINT NOT NULL,
    deactivated   BOOLEAN NOT NULL,
    erased        BOOLEAN NOT NULL,
    locked        BOOLEAN NOT NULL,
    suspended     BOOLEAN NOT NULL,
    agreed        TEXT                             -- JSON: which version of which terms, at sign-up
) /* WITHOUT ROWID */;

-- Deactivated users who have yet to leave their rooms.
CREATE TABLE departing (
    user_id TEXT NOT NULL PRIMARY KEY
) /* WITHOUT ROWID */;

CREATE TABLE device (
    user_id      TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    display_name TEXT,
    created_ts   BIGINT NOT NULL,
    last_seen_ts BIGINT,
    last_seen_ip TEXT,
    PRIMARY KEY (user_id, device_id)
) /* WITHOUT ROWID */;

-- Tokens are kept as hashes (BLAKE3, 32 bytes), never as they were given out.
CREATE TABLE access_token (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    expires_ts BIGINT,
    -- the refresh token that goes with it
    refresh_hash BYTEA
) /* WITHOUT ROWID */;
CREATE INDEX access_token_device ON access_token (user_id, device_id);
CREATE INDEX access_token_refresh ON access_token (refresh_hash);

CREATE TABLE refresh_token (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    -- set once used: the token that took its place; the old one dies when the new pair is used
    next_hash  BYTEA
) /* WITHOUT ROWID */;
CREATE INDEX refresh_token_device ON refresh_token (user_id, device_id);
CREATE INDEX refresh_token_next ON refresh_token (next_hash);

CREATE TABLE login_token (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_ts BIGINT NOT NULL,
    txn_id     TEXT,                               -- who may use it again, if it was used
    device_id  TEXT                                -- on which device
) /* WITHOUT ROWID */;

CREATE TABLE registration_token (
    token        TEXT NOT NULL PRIMARY KEY,
    uses_allowed BIGINT,                           -- NULL: any number
    completed    BIGINT NOT NULL,
    expires_ts   BIGINT
) /* WITHOUT ROWID */;

-- Accounts at other services (oauth2.providers), and whose they are here.
CREATE TABLE external_id (
    provider TEXT NOT NULL,
    subject  TEXT NOT NULL,                        -- what the service calls the account
    user_id  TEXT NOT NULL,
    PRIMARY KEY (provider, subject)
) /* WITHOUT ROWID */;
CREATE INDEX external_id_user ON external_id (user_id);

-- User-interactive authentication under way. The session itself proves what it is for.
CREATE TABLE uia_session (
    session_hash BYTEA NOT NULL PRIMARY KEY,       -- BLAKE3
    completed    TEXT NOT NULL,                    -- stages, separated by spaces
    facts        TEXT NOT NULL,                    -- JSON: what the stages found out
    created_ts   BIGINT NOT NULL
) /* WITHOUT ROWID */;
CREATE INDEX uia_session_created ON uia_session (created_ts);

-- Addresses of people (third-party identifiers), in canonical form. An address has one account.
CREATE TABLE threepid (
    medium       TEXT NOT NULL,                    -- email, msisdn
    address      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    validated_ts BIGINT NOT NULL,
    added_ts     BIGINT NOT NULL,
    PRIMARY KEY (medium, address)
) /* WITHOUT ROWID */;
CREATE INDEX threepid_user ON threepid (user_id);

-- Which identity servers tell others whose address it is.
CREATE TABLE threepid_binding (
    user_id   TEXT NOT NULL,
    medium    TEXT NOT NULL,
    address   TEXT NOT NULL,
    id_server TEXT NOT NULL,
    PRIMARY KEY (user_id, medium, address, id_server)
) /* WITHOUT ROWID */;

-- Somebody is to show that an address is theirs, by a token that was sent to it. The token is not
-- kept: it is a MAC of the session.
CREATE TABLE threepid_session (
    sid          TEXT NOT NULL PRIMARY KEY,
    purpose      TEXT NOT NULL,                    -- register, password, add, login
    medium       TEXT NOT NULL,
    address      TEXT NOT NULL,
    secret_hash  BYTEA NOT NULL,                   -- BLAKE3 of the client's secret
    send_attempt BIGINT NOT NULL,
    claimed_ts   BIGINT NOT NULL,                  -- when that attempt began; 0: it failed
    sent_ts      BIGINT,                           -- when it was through
    guesses      BIGINT NOT NULL,                  -- tokens that were tried
    next_link    TEXT,
    validated_ts BIGINT,
    created_ts   BIGINT NOT NULL,
    UNIQUE (medium, address, purpose, secret_hash)
) /* WITHOUT ROWID */;
CREATE INDEX threepid_session_created ON threepid_session (created_ts);

CREATE TABLE profile (
    user_id TEXT NOT NULL,
    field   TEXT NOT NULL,                         -- displayname, avatar_url, m.tz, …
    value   TEXT NOT NULL,                         -- JSON
    PRIMARY KEY (user_id, field)
) /* WITHOUT ROWID */;

-- The words of display names in lower case, so that people are found by the beginning of one.
CREATE TABLE profile_word (
    word    TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (word, user_id)
) /* WITHOUT ROWID */;
CREATE INDEX profile_word_user ON profile_word (user_id);

CREATE TABLE filter (
    user_id   TEXT NOT NULL,
    filter_id BIGINT NOT NULL,
    json      TEXT NOT NULL,
    PRIMARY KEY (user_id, filter_id)
) /* WITHOUT ROWID */;

-- What a request with a transaction id led to, so that asked again it leads there again.
CREATE TABLE txn (
    txn        BYTEA NOT NULL PRIMARY KEY,         -- hashes of the user, the device and the request
    pos        BIGINT NOT NULL,                    -- of the event
    created_ts BIGINT NOT NULL
) /* WITHOUT ROWID */;

-- Rooms ---------------------------------------------------------------------------------------

CREATE TABLE room (
    room     BIGINT PRIMARY KEY,                   -- the position of its create event
    room_id  TEXT NOT NULL UNIQUE,
    version  TEXT NOT NULL,
    public   BOOLEAN NOT NULL,                     -- listed in the directory
    head     TEXT NOT NULL,                        -- forward extremities: event ids, by comma
    joined   BIGINT NOT NULL,                      -- how many members are joined
    invited  BIGINT NOT NULL,
    last_pos BIGINT NOT NULL                       -- of whatever happened in it last
);
CREATE INDEX room_public ON room (joined, room) WHERE public = TRUE;

CREATE TABLE event (
    pos              BIGINT PRIMARY KEY,
    room             BIGINT NOT NULL,
    event_id         TEXT NOT NULL UNIQUE,
    event_type       TEXT NOT NULL,
    state_key        TEXT,
    sender           TEXT NOT NULL,
    origin_server_ts BIGINT NOT NULL,
    json             BYTEA NOT NULL,               -- the canonical bytes that were signed
    state_root       BYTEA NOT NULL,               -- the state after it
    replaces         TEXT,                         -- the state event whose place it took
    redacted_by      TEXT,                         -- event id of the redaction; json is pruned then
    soft_failed      BOOLEAN NOT NULL,
    rejected         BOOLEAN NOT NULL,
    txn_device       TEXT,                         -- for unsigned.transaction_id of the sender
    txn_id           TEXT,
    has_children     BOOLEAN NOT NULL              -- of which aggregations tell
);
CREATE INDEX event_room ON event (room, pos);
CREATE INDEX event_room_ts ON event (room, origin_server_ts, pos);

-- Names grow with time. With a rowid, for SQLite appends to a table without touching the pages before.
CREATE TABLE state_node (
    name  BYTEA NOT NULL PRIMARY KEY,
    bytes BYTEA NOT NULL
);

-- Where every user stands in every room, by the room's current state.
CREATE TABLE membership (
    user_id      TEXT NOT NULL,
    room         BIGINT NOT NULL,
    membership   TEXT NOT NULL,                    -- join, invite, knock, leave, ban
    pos          BIGINT NOT NULL,                  -- of the member event
    event_id     TEXT NOT NULL,
    sender       TEXT NOT NULL,
    display_name TEXT,
    avatar_url   TEXT,
    forgotten    BOOLEAN NOT NULL,
    joined_upto  BIGINT,                           -- of the event that ended the user's last stay
    PRIMARY KEY (user_id, room)
) /* WITHOUT ROWID */;
CREATE INDEX membership_room ON membership (room, membership, user_id);
-- The rooms that a user is joined to, by key and nothing else: what two users share is found here.
CREATE INDEX membership_joined ON membership (user_id, room) WHERE membership = 'join';

CREATE TABLE relation (
    room       BIGINT NOT NULL,
    parent     TEXT NOT NULL,                      -- event id that the child points to
    rel_type   TEXT NOT NULL,
    pos        BIGINT NOT NULL,                    -- of the child
    event_type TEXT NOT NULL,
    sender     TEXT NOT NULL,
    PRIMARY KEY (room, parent, rel_type, pos)
) /* WITHOUT ROWID */;
CREATE INDEX relation_parent ON relation (room, parent, pos);
CREATE INDEX relation_pos ON relation (pos);

CREATE TABLE thread (
    room   BIGINT NOT NULL,
    root   TEXT NOT NULL,                          -- event id
    latest BIGINT NOT NULL,                        -- position of the newest event in it
    PRIMARY KEY (room, root)
) /* WITHOUT ROWID */;
CREATE INDEX thread_latest ON thread (room, latest);

CREATE TABLE alias (
    alias      TEXT NOT NULL PRIMARY KEY,
    room       BIGINT NOT NULL,
    creator    TEXT NOT NULL,
    created_ts BIGINT NOT NULL
) /* WITHOUT ROWID */;
CREATE INDEX alias_room ON alias (room);

-- Around a conversation -------------------------------------------------------------------------

CREATE TABLE receipt (
    room         BIGINT NOT NULL,
    user_id      TEXT NOT NULL,
    receipt_type TEXT NOT NULL,                    -- m.read, m.read.private
    thread_id    TEXT NOT NULL,                    -- '' for none
    event_id     TEXT NOT NULL,
    event_pos    BIGINT NOT NULL,
    ts           BIGINT NOT NULL,
    pos          BIGINT NOT NULL,
    PRIMARY KEY (room, user_id, receipt_type, thread_id)
) /* WITHOUT ROWID */;
CREATE INDEX receipt_pos ON receipt (room, pos);

CREATE TABLE account_data (
    user_id   TEXT NOT NULL,
    room      BIGINT NOT NULL,                     -- 0: of the account itself
    data_type TEXT NOT NULL,
    content   TEXT NOT NULL,                       -- JSON object
    pos       BIGINT NOT NULL,
    PRIMARY KEY (user_id, room, data_type)
) /* WITHOUT ROWID */;
CREATE INDEX account_data_pos ON account_data (user_id, pos);

CREATE TABLE presence (
    user_id        TEXT NOT NULL PRIMARY KEY,
    presence       TEXT NOT NULL,                  -- online, unavailable, offline
    status_msg     TEXT,
    last_active_ts BIGINT NOT NULL
) /* WITHOUT ROWID */;

-- Where notifications of a user are sent to (push gateways), and up to where they were.
CREATE TABLE pusher (
    pusher              BIGINT PRIMARY KEY,        -- the position at which it was set first
    user_id             TEXT NOT NULL,
    device_id           TEXT NOT NULL,             -- that set it, and with which it goes
    app_id              TEXT NOT NULL,
    pushkey             TEXT NOT NULL,
    app_display_name    TEXT NOT NULL,
    device_display_name TEXT NOT NULL,
    profile_tag         TEXT,
    lang                TEXT NOT NULL,
    data                TEXT NOT NULL,             -- JSON object, with the url
    of_2015             BOOLEAN NOT NULL,          -- set through v1 of 2015
    set_pos             BIGINT NOT NULL,           -- the position at which it was set last
    set_ts              BIGINT NOT NULL,
    pushed_upto         BIGINT NOT NULL,           -- all up to this position is pushed, or not to be
    told_unread         BIGINT,                    -- the number of unread messages that was pushed last
    UNIQUE (app_id, pushkey, user_id)
);
CREATE INDEX pusher_user ON pusher (user_id);

-- Whose presence users wish to follow (v1 of 2015).
CREATE TABLE presence_list (
    user_id  TEXT NOT NULL,
    followed TEXT NOT NULL,
    PRIMARY KEY (user_id, followed)
) /* WITHOUT ROWID */;

-- What users want to happen in a room later (MSC4140), and for a while what became of it.
CREATE TABLE delayed_event (
    delay_id     TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    txn          TEXT NOT NULL,                    -- endpoint, its path, and the transaction id
    room_id      TEXT NOT NULL,
    event_type   TEXT NOT NULL,
    state_key    TEXT,
    content      TEXT NOT NULL,                    -- JSON object
    delay_ms     BIGINT NOT NULL,
    since_ts     BIGINT NOT NULL,                  -- when it was asked for or restarted
    send_ts      BIGINT NOT NULL,                  -- when it is due
    finalised_ts BIGINT,                           -- NULL while it waits
    event_id     TEXT,                             -- what it became
    error        TEXT                              -- JSON object: why it became nothing
) /* WITHOUT ROWID */;
CREATE UNIQUE INDEX delayed_event_txn ON delayed_event (user_id, device_id, txn);
CREATE INDEX delayed_event_user ON delayed_event (user_id, send_ts) WHERE finalised_ts IS NULL;
CREATE INDEX delayed_event_due ON delayed_event (send_ts) WHERE finalised_ts IS NULL;
CREATE INDEX delayed_event_done ON delayed_event (finalised_ts);

-- OpenID tokens, by which services learn who their users are. Kept as hashes.
CREATE TABLE openid_token (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_ts BIGINT NOT NULL
) /* WITHOUT ROWID */;
CREATE INDEX openid_token_user ON openid_token (user_id, expires_ts);

-- What users want the administrator to look at.
CREATE TABLE report (
    report      BIGINT PRIMARY KEY,
    reporter    TEXT NOT NULL,
    room_id     TEXT,
    event_id    TEXT,
    user_id     TEXT,                              -- who is reported, or sent the event
    reason      TEXT,
    received_ts BIGINT NOT NULL
);
CREATE INDEX report_reporter ON report (reporter, received_ts);
