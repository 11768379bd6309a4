-- How many orders of a sale each shopper has given back, and how many a sale allows:
-- 0, of all sales before this and of those that the version before creates, is any
-- number. The version before reads and writes none of it, and meets the new reason
-- as a text. Runs on the servers of 00001, and again after it was cut in the middle.

-- +goose Up
CREATE TABLE IF NOT EXISTS sale_returns (
    sale_id    BIGINT            NOT NULL,
    shopper_id VARBINARY(64)     NOT NULL,
    orders     SMALLINT UNSIGNED NOT NULL COMMENT 'cancelled by the shopper, or not paid in time',
    units      BIGINT UNSIGNED   NOT NULL,
    last_at    DATETIME(3)       NOT NULL,
    PRIMARY KEY (sale_id, shopper_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

SET @wanted = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE sales
        ADD COLUMN attempts_per_shopper TINYINT UNSIGNED  NOT NULL DEFAULT 0 COMMENT ''0: any number'',
        ADD COLUMN most_returned        SMALLINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''orders that one shopper has given back''',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sales' AND column_name = 'attempts_per_shopper');
PREPARE wanted FROM @wanted;
EXECUTE wanted;
DEALLOCATE PREPARE wanted;

SET @wanted = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE sale_changes ADD COLUMN returned BLOB NULL COMMENT ''what the version before cannot read''',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'returned');
PREPARE wanted FROM @wanted;
EXECUTE wanted;
DEALLOCATE PREPARE wanted;

-- One more at the end: no server touches a row for it.
ALTER TABLE orders MODIFY reason ENUM('', 'sold_out', 'purchase_limit', 'poison', 'void', 'attempts_used') NOT NULL;

-- +goose Down
UPDATE orders SET reason = 'purchase_limit' WHERE reason = 'attempts_used';
ALTER TABLE orders MODIFY reason ENUM('', 'sold_out', 'purchase_limit', 'poison', 'void') NOT NULL;
SET @unwanted = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE sale_changes DROP COLUMN returned', 'DO 0')
    FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'returned');
PREPARE unwanted FROM @unwanted;
EXECUTE unwanted;
DEALLOCATE PREPARE unwanted;
SET @unwanted = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE sales DROP COLUMN attempts_per_shopper, DROP COLUMN most_returned', 'DO 0')
    FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'sales' AND column_name = 'attempts_per_shopper');
PREPARE unwanted FROM @unwanted;
EXECUTE unwanted;
DEALLOCATE PREPARE unwanted;
DROP TABLE IF EXISTS sale_returns;
