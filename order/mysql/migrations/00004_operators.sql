-- What operators change: a version of each sale, marks of what is still to be
-- done to its orders, and the log of who did what. Runs on the servers of 00001.
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the ALTER is made only where it is
-- wanted: a migration that was cut in the middle is run again.

-- +goose Up
SET @wanted = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE sales
        ADD COLUMN version   BIGINT UNSIGNED  NOT NULL DEFAULT 1 COMMENT ''raised by each change of an operator'',
        ADD COLUMN voided    TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''its unpaid orders are cancelled'',
        ADD COLUMN extending TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''pay_by of its orders follows pay_within''',
    'DO 0') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sales' AND column_name = 'version');
PREPARE wanted FROM @wanted;
EXECUTE wanted;
DEALLOCATE PREPARE wanted;

CREATE TABLE IF NOT EXISTS audit_log (
    id           BIGINT         NOT NULL AUTO_INCREMENT,
    at           DATETIME(3)    NOT NULL,
    actor        VARBINARY(128) NOT NULL,
    role         VARBINARY(16)  NOT NULL,
    action       VARBINARY(32)  NOT NULL,
    sale_id      BIGINT         NOT NULL COMMENT '0: of no sale',
    target       VARBINARY(192) NOT NULL,
    value_before MEDIUMTEXT     NULL COMMENT 'JSON: what changed, as it was',
    value_after  MEDIUMTEXT     NULL COMMENT 'JSON: the same, as it is',
    command_id   VARBINARY(64)  NOT NULL,
    PRIMARY KEY (id),
    KEY audit_sale (sale_id, id),
    KEY audit_actor (actor, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- +goose Down
DROP TABLE IF EXISTS audit_log;
SET @unwanted = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE sales DROP COLUMN version, DROP COLUMN voided, DROP COLUMN extending', 'DO 0')
    FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'sales' AND column_name = 'version');
PREPARE unwanted FROM @unwanted;
EXECUTE unwanted;
DEALLOCATE PREPARE unwanted;
