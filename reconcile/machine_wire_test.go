package reconcile_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
)

// Outcomes of a COMMIT.
const (
	commitAnswered   int32 = iota
	commitUnanswered       // the server commits, the answer is lost
	commitUnsent           // the connection breaks before it
)

var errWire = errors.New("the connection broke")

// wire is a connector that breaks at a COMMIT on demand. It borrows the connections
// of a pool.
type wire struct {
	pool *sql.DB
	next atomic.Int32 // outcome of the next COMMIT
}

func (w *wire) Driver() driver.Driver { return w.pool.Driver() }

func (w *wire) Connect(ctx context.Context) (driver.Conn, error) {
	lent, err := w.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &wiredConn{wire: w, lent: lent}
	err = lent.Raw(func(raw any) error { c.rawConn = raw.(rawConn); return nil }) //nolint:errcheck,forcetypeassert // the driver has them all
	return c, err
}

// rawConn is what the driver's connection can do and database/sql asks for.
type rawConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

type wiredConn struct {
	rawConn

	wire *wire
	lent *sql.Conn
}

func (c *wiredConn) Close() error { return c.lent.Close() }

func (c *wiredConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.rawConn.BeginTx(ctx, opts)
	return wiredTx{tx, c.wire}, err
}

type wiredTx struct {
	driver.Tx

	wire *wire
}

func (t wiredTx) Commit() error {
	switch t.wire.next.Swap(commitAnswered) {
	case commitUnanswered:
		return errors.Join(errWire, t.Tx.Commit())
	case commitUnsent:
		return errors.Join(errWire, t.Rollback())
	default:
		return t.Tx.Commit()
	}
}
