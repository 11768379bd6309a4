package checkup

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"seckill/fleet"
	"seckill/order/mysql"
)

// MySQL checks the server, its schema, and the settings that make commits durable.
func MySQL(ctx context.Context, db *sql.DB) []Finding {
	version, _, err := ask(ctx, func(ctx context.Context) (v string, err error) {
		return v, db.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&v)
	})
	if err != nil {
		return []Finding{down("mysql", err, explainMySQL(err))}
	}
	return []Finding{
		well("mysql", "version %s", version),
		schema(ctx, db),
		flush(ctx, db),
		binlog(ctx, db),
		writes(ctx, db),
		Clock(ctx, "mysql", func(ctx context.Context) (now time.Time, err error) {
			return now, db.QueryRowContext(ctx, `SELECT UTC_TIMESTAMP(6)`).Scan(&now)
		}),
	}
}

func schema(ctx context.Context, db *sql.DB) Finding {
	const name = "mysql schema"
	ms, _, err := ask(ctx, func(ctx context.Context) ([]mysql.Migration, error) { return mysql.MigrationStatus(ctx, db) })
	if err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	for _, m := range ms {
		if !m.Applied {
			return failure(name, "run `seckill migrate up`", "%s is not applied", m.Name)
		}
	}
	version, newer, err := mysql.Unknown(ctx, db)
	if err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	return rule(newer, Warn, name, "finish the rolling update: this program is of an earlier version than the schema", "%d migrations applied, the last is %d", len(ms), version)
}

// globals reads settings of the server.
func globals(ctx context.Context, db *sql.DB, query string, into ...any) error {
	_, _, err := ask(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, db.QueryRowContext(ctx, query).Scan(into...)
	})
	return err
}

func flush(ctx context.Context, db *sql.DB) Finding {
	const name = "mysql durability"
	var n int
	if err := globals(ctx, db, `SELECT @@GLOBAL.innodb_flush_log_at_trx_commit`, &n); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	return rule(n != 1, Fail, name, "set innodb_flush_log_at_trx_commit=1: otherwise a crash of the server may lose confirmed orders",
		"innodb_flush_log_at_trx_commit is %d", n)
}

func binlog(ctx context.Context, db *sql.DB) Finding {
	const name = "mysql binary log"
	var on bool
	var n int
	if err := globals(ctx, db, `SELECT @@GLOBAL.log_bin, @@GLOBAL.sync_binlog`, &on, &n); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	if !on {
		return well(name, "off: there is no replica to fail over to")
	}
	return rule(n != 1, Fail, name, "set sync_binlog=1: otherwise a replica may lack confirmed orders after a crash of the server",
		"on, sync_binlog is %d", n)
}

// writes rehearses an order. A user with enough privileges may write to a server that
// is read-only, so that is asked as well.
func writes(ctx context.Context, db *sql.DB) Finding {
	const name = "mysql writes"
	var readOnly bool
	if err := globals(ctx, db, `SELECT @@GLOBAL.read_only`, &readOnly); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	if readOnly {
		return failure(name, readOnlyAdvice, "read_only is on")
	}
	_, took, err := ask(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, mysql.NewStore(db, slog.New(slog.DiscardHandler)).Rehearse(ctx)
	})
	if err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	return well(name, "an order was settled and rolled back in %s", took.Round(time.Millisecond))
}

// MySQLPools compares the connections that the processes may open with the limits
// of the server and of the user.
func MySQLPools(ctx context.Context, db *sql.DB, is []fleet.Instance) Finding {
	const name = "mysql connections"
	var most, ofUser, used int
	if err := globals(ctx, db, `SELECT @@GLOBAL.max_connections, @@SESSION.max_user_connections`, &most, &ofUser); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	setting := "max_connections"
	if ofUser > 0 && ofUser < most {
		most, setting = ofUser, "MAX_USER_CONNECTIONS of the user (or max_user_connections)"
	}
	for _, i := range is {
		used += i.MaxMySQLConns
	}
	return pools(name, setting+", or lower SECKILL_MYSQL_MAX_CONNS", used, most)
}

// pools compares the connections that all processes may open with the limit of a
// server: some must be left for operators, and for processes of a rolling update.
func pools(name, setting string, used, most int) Finding {
	const detail = "the processes may open %d of %d"
	if used > most {
		return failure(name, "raise "+setting, detail, used, most)
	}
	return rule(used*10 > most*8, Warn, name, "raise "+setting+": a rolling update and operators need some, too", detail, used, most)
}
