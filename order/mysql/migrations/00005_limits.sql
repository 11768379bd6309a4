-- The limits that operators set while the processes run: one row, so that each
-- process can look at it every second by its primary key. Runs on the servers of
-- 00001.

-- +goose Up
CREATE TABLE IF NOT EXISTS limits (
    id         TINYINT UNSIGNED NOT NULL COMMENT 'always 1',
    generation BIGINT UNSIGNED  NOT NULL COMMENT 'raised by each change',
    settings   TEXT             NOT NULL COMMENT 'JSON: what operators set, by name; the rest is as configured',
    changed_at DATETIME(3)      NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

INSERT IGNORE INTO limits (id, generation, settings, changed_at) VALUES (1, 1, '{}', NOW(3));

-- +goose Down
DROP TABLE IF EXISTS limits;
