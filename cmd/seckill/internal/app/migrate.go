package app

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"seckill/internal/config"
	"seckill/order/mysql"
	"seckill/queue/rocketmq"
)

// migrateTimeout bounds a migration of the schema; the documentation of a
// migration of a large table says how to run it online.
const migrateTimeout = 10 * time.Minute

// MigrateSchema brings the schema of MySQL up to date.
func MigrateSchema(ctx context.Context, c config.MySQL, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	c.NoTimeout = true // an ALTER of a large table takes as long as it takes
	return withDB(c, func(db *sql.DB) error { return mysql.Migrate(ctx, db, log) })
}

// Migrations returns the migrations of the schema and when each was applied.
func Migrations(ctx context.Context, c config.MySQL) (ms []mysql.Migration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = withDB(c, func(db *sql.DB) error { ms, err = mysql.MigrationStatus(ctx, db); return err })
	return ms, err
}

// MakeTopics creates the topics in RocketMQ that do not exist.
func MakeTopics(ctx context.Context, c config.RocketMQ, log *slog.Logger) error {
	orders, events, err := rocketOptions(c, log)
	if err != nil {
		return err
	}
	for _, opts := range []rocketmq.Options{orders, events} {
		admin, err := rocketmq.NewAdmin(opts)
		if err != nil {
			return &SettingError{err}
		}
		err = admin.EnsureTopics(ctx, c.Queues) // it has timeouts of its own
		admin.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// NewEventReader returns a reader of the topic of order events, outside of any
// consumer group.
func NewEventReader(c config.RocketMQ, log *slog.Logger) (*rocketmq.Reader, error) {
	_, events, err := rocketOptions(c, log)
	if err != nil {
		return nil, err
	}
	r, err := rocketmq.NewReader(events)
	if err != nil {
		return nil, badSetting("SECKILL_ROCKETMQ_*", err)
	}
	return r, nil
}
