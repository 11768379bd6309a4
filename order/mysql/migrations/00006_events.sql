-- How far the events of each sale have left for other systems, and when each
-- change was made, which is the time of its events; of changes made before this,
-- the time of the migration. The version before inserts changes without it. Runs
-- on the servers of 00001, and again after it was cut in the middle.

-- +goose Up
CREATE TABLE IF NOT EXISTS event_cursors (
    sale_id    BIGINT          NOT NULL,
    seq        BIGINT UNSIGNED NOT NULL COMMENT 'of the last change whose events have all left',
    holder     VARBINARY(64)   NOT NULL COMMENT 'the process that sends them, until held_until',
    held_until DATETIME(3)     NOT NULL,
    PRIMARY KEY (sale_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

SET @missing = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE sale_changes ADD COLUMN made_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'made_at');
PREPARE add_time FROM @missing;
EXECUTE add_time;
DEALLOCATE PREPARE add_time;

-- Sales that are over send nothing any more.
INSERT INTO event_cursors (sale_id, seq, holder, held_until)
    SELECT id, seq, '', NOW(3) FROM sales WHERE state = 'closed'
    ON DUPLICATE KEY UPDATE sale_id = event_cursors.sale_id;

-- +goose Down
DROP TABLE IF EXISTS event_cursors;
SET @unwanted = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE sale_changes DROP COLUMN made_at', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sale_changes' AND column_name = 'made_at');
PREPARE drop_time FROM @unwanted;
EXECUTE drop_time;
DEALLOCATE PREPARE drop_time;
