-- What a sale asks of a purchase besides a token. MySQL has no ADD COLUMN IF
-- NOT EXISTS: the dictionary says whether the columns are there, so that a
-- migration that was cut before it was noted can run again. The version before
-- inserts sales without these columns.

-- +goose Up
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'sales' AND column_name = 'require_permit') = 0,
    'ALTER TABLE sales
        ADD COLUMN require_permit TINYINT UNSIGNED NOT NULL DEFAULT 0,
        ADD COLUMN require_claim VARBINARY(129) NOT NULL DEFAULT ''''',
    'DO 0');
PREPARE add_gates FROM @statement;
EXECUTE add_gates;
DEALLOCATE PREPARE add_gates;

-- +goose Down
ALTER TABLE sales DROP COLUMN require_permit, DROP COLUMN require_claim;
