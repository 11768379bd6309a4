-- One row for each event of the payment provider that was answered. Runs on
-- the servers of 00001, and again after it was cut in the middle.

-- +goose Up
CREATE TABLE IF NOT EXISTS payments (
    event_id     VARBINARY(128)  NOT NULL,
    order_id     BIGINT          NOT NULL,
    amount_minor BIGINT UNSIGNED NOT NULL,
    currency     BINARY(3)       NOT NULL,
    outcome      ENUM('paid', 'refund_required') NOT NULL,
    received_at  DATETIME(3)     NOT NULL,
    PRIMARY KEY (event_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- +goose Down
DROP TABLE IF EXISTS payments;
