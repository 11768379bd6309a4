package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"seckill/internal/failpoint"
	"seckill/internal/loop"
	"seckill/internal/telemetry"
	"seckill/order"
)

// errUnknown: it is not known whether the transaction was committed.
var errUnknown = errors.New("outcome unknown")

// inTx runs fn in one READ COMMITTED transaction and commits it if fn returns nil. A
// connection whose BEGIN, COMMIT or ROLLBACK failed is discarded: an open transaction
// that went back to the pool would be committed by the next BEGIN.
//
// ctx bounds only the wait for a connection. The transaction ignores it, because Commit
// does not commit after its context has ended, and an interrupted statement leaves locks
// behind. The driver's timeouts bound the transaction.
func (s *Store) inTx(ctx context.Context, fn func(context.Context, *sql.Tx) error) (failure error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // returns it to the pool
	ctx, span := telemetry.Start(context.WithoutCancel(ctx), "transaction", telemetry.Internal)
	defer func() { span.End(failure) }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		discard(conn)
		return fmt.Errorf("begin: %w", err)
	}
	err = fn(ctx, tx)
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.BeforeCommit)
	}
	if err != nil {
		if tx.Rollback() != nil || isReadOnly(err) {
			discard(conn)
		}
		return err
	}
	_, commit := telemetry.Statement(ctx, "COMMIT")
	err = tx.Commit()
	commit.End(err)
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.AfterCommit)
	}
	if err != nil {
		discard(conn)
		return fmt.Errorf("commit: %w: %w", errUnknown, err)
	}
	return nil
}

// isReadOnly reports whether the server refused a write because it is a replica now. The
// connection must be discarded: a new one may reach the primary.
func isReadOnly(err error) bool {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (refused.Number == 1290 || refused.Number == 1792 || refused.Number == 1836)
}

// exec runs one statement outside of a transaction.
func (s *Store) exec(ctx context.Context, query string, args ...any) (rows, id int64, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // returns it to the pool
	rows, id, err = exec(ctx, conn, query, args...)
	if isReadOnly(err) {
		discard(conn)
	}
	return rows, id, err
}

// discard keeps conn out of the pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// inSnapshot runs fn in a read-only REPEATABLE READ transaction: all reads see the
// database as of the first one.
func (s *Store) inSnapshot(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing to commit
	return fn(tx)
}

// errorKind is what to do about an error.
type errorKind int

const (
	transient errorKind = iota // retry: everything that is not known to be final
	badData                    // MySQL refuses the values: a retry fails again
	final                      // one of our own results
)

func kindOf(err error) errorKind {
	if _, ok := errors.AsType[*order.FieldError](err); ok {
		return final
	}
	for _, answer := range []error{order.ErrNotFound, order.ErrConflict, order.ErrStale, order.ErrInvalid, order.ErrBadChange} {
		if errors.Is(err, answer) {
			return final
		}
	}
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch refused.Number {
		case 1048, 1264, 1265, 1292, 1366, 1406, 1690, 3819, 4025:
			return badData
		}
	}
	return transient
}

// AboutRows reports whether an error says something about the rows of its call alone:
// MySQL answered, and serves others. Rows may be locked, or values refused.
func AboutRows(err error) bool {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (kindOf(err) == badData || slices.Contains([]uint16{1062, 1205, 1213}, refused.Number))
}

// maxTries bounds the tries of one call: 1213 and 1205 are normal when batches need the
// same slots, and rarely occur three times in a row. The caller waits for the end of an
// outage.
const maxTries = 6

// retry runs fn until it succeeds, fails for good, or has failed maxTries times.
func (s *Store) retry(ctx context.Context, what string, fn func(try int) error) error {
	for try := 0; ; try++ {
		err := fn(try)
		if err == nil {
			return nil
		}
		if kindOf(err) != transient || try+1 == maxTries || loop.Pause(ctx, jitter(try)) != nil {
			return fmt.Errorf("mysql: %s: %w", what, err)
		}
		s.log.DebugContext(ctx, "transaction tried again", "what", what, "try", try+1, "err", err)
	}
}

// jitter returns up to 4, 8, … 64 ms, so that two transactions that deadlocked do not
// meet again.
func jitter(try int) time.Duration {
	return time.Millisecond + rand.N(4*time.Millisecond<<min(try, 4))
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// exec returns the number of changed rows and the value of LAST_INSERT_ID(expr).
func exec(ctx context.Context, db execer, query string, args ...any) (rows, id int64, err error) {
	ctx, span := telemetry.Statement(ctx, query)
	res, err := db.ExecContext(ctx, query, args...)
	endStatement(span, err)
	if err != nil {
		return 0, 0, err
	}
	if rows, err = res.RowsAffected(); err != nil {
		return 0, 0, err
	}
	id, err = res.LastInsertId()
	return rows, id, err
}

// query calls scan for each row.
func query(ctx context.Context, db queryer, scan func(*sql.Rows) error, q string, args ...any) error {
	ctx, span := telemetry.Statement(ctx, q)
	rows, err := db.QueryContext(ctx, q, args...)
	endStatement(span, err)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// endStatement ends the span of a statement, with MySQL's error number.
func endStatement(span telemetry.Span, err error) {
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok {
		span.Text("db.response.status_code", strconv.Itoa(int(refused.Number)))
	}
	span.End(err)
}

// repeat returns group n times, with commas between.
func repeat(group string, n int) string {
	return group + strings.Repeat(", "+group, n-1)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func idArgs(ids []order.ID) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	return args
}
