-- Runs on MySQL 8.0, MariaDB 10.11 and TiDB. IF NOT EXISTS: DDL commits by
-- itself, so a migration that was cut in the middle is simply run again.
-- UNSIGNED turns a negative number, which would be an oversell, into an error.

-- +goose Up
CREATE TABLE IF NOT EXISTS sales (
    id                 BIGINT            NOT NULL,
    external_id        VARBINARY(64)     NULL,
    title              VARCHAR(200)      NOT NULL,
    sku                VARCHAR(64)       NOT NULL,
    price_minor        BIGINT UNSIGNED   NOT NULL,
    currency           BINARY(3)         NOT NULL,
    total              INT UNSIGNED      NOT NULL,
    available          INT UNSIGNED      NOT NULL,
    orders_per_shopper TINYINT UNSIGNED  NOT NULL,
    units_per_order    INT UNSIGNED      NOT NULL,
    starts_at          DATETIME(3)       NOT NULL,
    ends_at            DATETIME(3)       NOT NULL,
    pay_within         INT UNSIGNED      NOT NULL COMMENT 'seconds',
    seq                BIGINT UNSIGNED   NOT NULL DEFAULT 0 COMMENT 'of the last change',
    epoch              BIGINT UNSIGNED   NOT NULL DEFAULT 0 COMMENT 'raised by each load into Redis',
    state              ENUM('scheduled', 'open', 'paused', 'ended', 'closed') NOT NULL,
    created_at         DATETIME(3)       NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY sales_external (external_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- A row is a verdict. live is 1 or NULL: NULL drops a dead order out of the
-- unique key, so that its slot is free.
CREATE TABLE IF NOT EXISTS orders (
    id         BIGINT           NOT NULL,
    sale_id    BIGINT           NOT NULL,
    shopper_id VARBINARY(64)    NOT NULL,
    slot       TINYINT UNSIGNED NOT NULL,
    live       TINYINT UNSIGNED NULL,
    quantity   INT UNSIGNED     NOT NULL,
    unit_price BIGINT UNSIGNED  NOT NULL,
    status     ENUM('confirmed', 'rejected', 'paid', 'cancelled') NOT NULL,
    reason     ENUM('', 'sold_out', 'purchase_limit', 'poison', 'void') NOT NULL,
    attempt    BIGINT UNSIGNED  NOT NULL COMMENT 'the transaction that made the row',
    idem_key   BIGINT UNSIGNED  NOT NULL COMMENT 'digest of the idempotency key, 0 without one',
    reference  VARBINARY(64)    NOT NULL,
    created_at DATETIME(3)      NOT NULL,
    decided_at DATETIME(3)      NOT NULL,
    pay_by     DATETIME(3)      NULL,
    PRIMARY KEY (id),
    UNIQUE KEY orders_slot (sale_id, shopper_id, slot, live)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS sale_changes (
    sale_id BIGINT          NOT NULL,
    seq     BIGINT UNSIGNED NOT NULL,
    changes MEDIUMBLOB      NOT NULL,
    PRIMARY KEY (sale_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS sale_commands (
    id         VARBINARY(64) NOT NULL,
    sale_id    BIGINT        NOT NULL,
    what       VARBINARY(64) NOT NULL,
    created_at DATETIME(3)   NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- An empty message_id marks a verdict: an order that can have no row of its
-- own. Every other row is a message that could not be read.
CREATE TABLE IF NOT EXISTS dead_letters (
    order_id   BIGINT         NOT NULL,
    sale_id    BIGINT         NOT NULL,
    shopper_id VARBINARY(64)  NOT NULL,
    message_id VARBINARY(128) NOT NULL,
    reason     VARBINARY(32)  NOT NULL,
    detail     VARBINARY(512) NOT NULL,
    body       BLOB           NOT NULL,
    created_at DATETIME(3)    NOT NULL,
    PRIMARY KEY (order_id, sale_id, shopper_id, message_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS counters (
    name VARBINARY(32) NOT NULL,
    n    BIGINT        NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

INSERT INTO counters (name, n) VALUES ('worker', 0) ON DUPLICATE KEY UPDATE n = counters.n;

-- +goose Down
DROP TABLE IF EXISTS counters;
DROP TABLE IF EXISTS dead_letters;
DROP TABLE IF EXISTS sale_commands;
DROP TABLE IF EXISTS sale_changes;
DROP TABLE IF EXISTS orders;
DROP TABLE IF EXISTS sales;
