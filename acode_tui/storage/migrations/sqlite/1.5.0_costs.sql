-- The order of sessions by cost: derived like the figures. Prices are those that were last looked up; see figures/prices.py.

-- What a request costs, in billionths of a US dollar a token: by model, the first day on which the price holds, counted
-- from 1970-01-01, and the context as in figures_usage.
CREATE TABLE figures_prices (
    model          TEXT NOT NULL,
    start          INTEGER NOT NULL,
    context        INTEGER NOT NULL,
    input          REAL NOT NULL,
    output         REAL NOT NULL,
    cache_read     REAL NOT NULL,
    cache_write    REAL NOT NULL,
    cache_write_1h REAL NOT NULL,
    PRIMARY KEY (model, start, context)
) STRICT, WITHOUT ROWID;

-- Has a row while sessions are priced again: those up to this rowid have their cost by the prices above.
CREATE TABLE figures_pricing (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    upto INTEGER NOT NULL
) STRICT;

INSERT INTO figures_pricing (id, upto) VALUES (1, 0);

-- What a session cost as far as its prices are known, in billionths of a US dollar.
ALTER TABLE figures_sessions ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;

CREATE INDEX figures_sessions_by_cost ON figures_sessions (priced);
CREATE INDEX figures_sessions_by_calls ON figures_sessions (calls);
