-- Payments by sale, shopper and order, why one is to be refunded, and when an
-- operator said that it was. The version before inserts payments without these
-- columns: consumers fill them in, as for the rows that are there. sale_changes.refund
-- is a payment to be refunded, beside a body without any orders, which the version
-- before reads as a change of nothing. Runs on the servers of 00001, and again after
-- it was cut in the middle.

-- +goose Up
SET @missing = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE payments
        ADD COLUMN sale_id     BIGINT        NOT NULL DEFAULT 0 COMMENT ''0: not filled in yet'',
        ADD COLUMN shopper_id  VARBINARY(64) NOT NULL DEFAULT '''',
        ADD COLUMN reason      VARBINARY(16) NOT NULL DEFAULT '''' COMMENT ''why a refund is required'',
        ADD COLUMN refunded_at DATETIME(3)   NULL,
        ADD KEY payments_received (received_at),
        ADD KEY payments_refund (outcome, refunded_at, received_at),
        ADD KEY payments_sale (sale_id, received_at),
        ADD KEY payments_shopper (shopper_id, received_at),
        ADD KEY payments_order (order_id)',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'payments' AND column_name = 'refunded_at');
PREPARE add_columns FROM @missing;
EXECUTE add_columns;
DEALLOCATE PREPARE add_columns;

SET @missing = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE sale_changes ADD COLUMN refund BLOB NULL COMMENT ''JSON: a payment to be refunded''',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'refund');
PREPARE add_refund FROM @missing;
EXECUTE add_refund;
DEALLOCATE PREPARE add_refund;

-- +goose Down
SET @unwanted = (SELECT IF(COUNT(*) > 0,
    'ALTER TABLE payments DROP KEY payments_received, DROP KEY payments_refund, DROP KEY payments_sale,
        DROP KEY payments_shopper, DROP KEY payments_order,
        DROP COLUMN sale_id, DROP COLUMN shopper_id, DROP COLUMN reason, DROP COLUMN refunded_at', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'payments' AND column_name = 'refunded_at');
PREPARE drop_columns FROM @unwanted;
EXECUTE drop_columns;
DEALLOCATE PREPARE drop_columns;
SET @unwanted = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE sale_changes DROP COLUMN refund', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'refund');
PREPARE drop_refund FROM @unwanted;
EXECUTE drop_refund;
DEALLOCATE PREPARE drop_refund;
