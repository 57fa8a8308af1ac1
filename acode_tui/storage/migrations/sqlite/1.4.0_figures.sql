-- Figures: derived from the rows like the search index, kept by its batches, and made again by `db search rebuild`.

-- The sessions whose figures are to be computed again. A mark that was set once more meanwhile has a higher revision.
CREATE TABLE figures_changes (
    session  INTEGER NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO figures_changes (session, revision) SELECT rowid, 1 FROM sessions;

-- A session's totals, by its rowid. Input is what was neither read from the cache nor written to it. The cost is what
-- the session itself says, in billionths of a US dollar.
CREATE TABLE figures_sessions (
    session     INTEGER NOT NULL PRIMARY KEY,
    agent       TEXT NOT NULL,
    project     TEXT NOT NULL,
    calls       INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost        INTEGER
) STRICT;

-- What a session adds to the sums below. Days are counted from 1970-01-01, in UTC. "context" is 0 or the threshold of
-- tokens that the requests exceeded, for a price may depend on it; -1 where the cost is given. "runs" is 1 in one row
-- of the session, "model_runs" in one row of each of its models.
CREATE TABLE figures_usage (
    session     INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    model       TEXT NOT NULL,
    context     INTEGER NOT NULL,
    runs        INTEGER NOT NULL,
    model_runs  INTEGER NOT NULL,
    calls       INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    PRIMARY KEY (session, day, model, context)
) STRICT, WITHOUT ROWID;

CREATE INDEX figures_usage_on_day ON figures_usage (day);

CREATE TABLE figures_tools (
    session INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    tool    TEXT NOT NULL,
    runs    INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    PRIMARY KEY (session, day, tool)
) STRICT, WITHOUT ROWID;

CREATE INDEX figures_tools_on_day ON figures_tools (day);

-- Sums over all sessions. With the project only by month, which is 12 times the year plus the month less 1: each day of
-- a team has most of its projects.
CREATE TABLE figures_by_day (
    day         INTEGER NOT NULL,
    agent       TEXT NOT NULL,
    model       TEXT NOT NULL,
    context     INTEGER NOT NULL,
    runs        INTEGER NOT NULL,
    model_runs  INTEGER NOT NULL,
    calls       INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    PRIMARY KEY (day, agent, model, context)
) STRICT, WITHOUT ROWID;

CREATE TABLE figures_by_month (
    month       INTEGER NOT NULL,
    agent       TEXT NOT NULL,
    project     TEXT NOT NULL,
    model       TEXT NOT NULL,
    context     INTEGER NOT NULL,
    runs        INTEGER NOT NULL,
    model_runs  INTEGER NOT NULL,
    calls       INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    PRIMARY KEY (month, agent, project, model, context)
) STRICT, WITHOUT ROWID;

CREATE TABLE figures_tools_by_day (
    day    INTEGER NOT NULL,
    agent  TEXT NOT NULL,
    tool   TEXT NOT NULL,
    runs   INTEGER NOT NULL,
    calls  INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (day, agent, tool)
) STRICT, WITHOUT ROWID;

CREATE TABLE figures_tools_by_month (
    month   INTEGER NOT NULL,
    agent   TEXT NOT NULL,
    project TEXT NOT NULL,
    tool    TEXT NOT NULL,
    runs    INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    PRIMARY KEY (month, agent, project, tool)
) STRICT, WITHOUT ROWID;

-- Orders of the list of sessions. Each entry ends in the rowid, which breaks ties.
CREATE INDEX session_facts_by_failed_calls ON session_facts (failed_calls);
CREATE INDEX session_facts_by_duration ON session_facts (
    CAST((julianday(last_at) - julianday(first_at)) * 86400000.0 AS INTEGER)
);
CREATE INDEX figures_sessions_by_tokens ON figures_sessions (input + output + cache_write);
