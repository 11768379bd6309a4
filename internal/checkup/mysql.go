package checkup

import (
	"context"
	"database/sql"
	"time"

	"seckill/fleet"
	"seckill/order/mysql"
)

// MySQL looks at the server, at its schema, and at what keeps its commits.
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
		writable(ctx, db),
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
	return well(name, "%d migrations applied", len(ms))
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
	return rule(n != 1, Fail, name, "set innodb_flush_log_at_trx_commit=1: with less, a crash of the server may forget orders that shoppers were told of",
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
		return well(name, "off: there is nothing to fail over to")
	}
	return rule(n != 1, Fail, name, "set sync_binlog=1: with less, a crash of the server may leave a replica without orders that shoppers were told of",
		"on, sync_binlog is %d", n)
}

func writable(ctx context.Context, db *sql.DB) Finding {
	const name = "mysql writes"
	var readOnly bool
	if err := globals(ctx, db, `SELECT @@GLOBAL.read_only`, &readOnly); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	if readOnly {
		return failure(name, "it is a replica, or was left so after a failover: connect to the primary, or SET GLOBAL read_only=0", "read_only is on")
	}
	return well(name, "it takes them")
}

// MySQLPools compares the connections that the processes may open with those
// that the server gives.
func MySQLPools(ctx context.Context, db *sql.DB, is []fleet.Instance) Finding {
	const name = "mysql connections"
	var most, used int
	if err := globals(ctx, db, `SELECT @@GLOBAL.max_connections`, &most); err != nil {
		return failure(name, explainMySQL(err), "%s", err)
	}
	for _, i := range is {
		used += i.MaxMySQLConns
	}
	return pools(name, "max_connections, or lower SECKILL_MYSQL_MAX_CONNS", used, most)
}

// pools judges what all processes may open against what a server gives: it must
// leave some for operators, and for processes that are being replaced.
func pools(name, setting string, used, most int) Finding {
	const detail = "%d of %d may be opened by the processes that live"
	if used > most {
		return failure(name, "raise "+setting, detail, used, most)
	}
	return rule(used*10 > most*8, Warn, name, "raise "+setting+": a rolling replacement and an operator need some as well", detail, used, most)
}
