package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"seckill/order"
	"seckill/order/mysql"
)

// roundDrain measures what is accepted with consumers off, how fast a consumer
// settles that backlog, and the plain programs it is compared with.
func (b *bench) roundDrain(ctx context.Context, n int) error {
	accepted, sl, err := b.accepting(ctx, n, b.fast, 256)
	if err != nil {
		return fmt.Errorf("accepted_256: %w", err)
	}
	if b.wants("accepted_256") {
		b.add("accepted_256", accepted, accepted.baseline())
	}
	drained, err := b.drain(ctx, n, sl)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if b.wants("drain_tx") {
		s, err := b.shop.oneByOne(ctx)
		if err != nil {
			return fmt.Errorf("drain_tx, baseline: %w", err)
		}
		b.add("drain_tx", drained, s)
	}
	if b.wants("drain_bulk") {
		s, err := b.shop.bulk(ctx)
		if err != nil {
			return fmt.Errorf("drain_bulk, baseline: %w", err)
		}
		b.add("drain_bulk", drained, s)
	}
	return b.observed(ctx, accepted)
}

// drain starts a consumer, and measures from its first commit until the last result is
// in Redis. Then it audits the sale.
func (b *bench) drain(ctx context.Context, n int, sl *sale) (sample, error) {
	orders, err := sl.sold(ctx)
	if err != nil {
		return sample{}, err
	}
	m := b.meter()
	if err := sl.consume(ctx, true); err != nil {
		return sample{}, err
	}
	var profile errgroup.Group
	profile.Go(func() error { return b.profile(ctx, n, "drain", sl.system) })
	end, err := sl.settled(ctx)
	s := sample{units: float64(orders)}
	s.cpu, s.foreign = m.read()
	if err := errors.Join(err, profile.Wait()); err != nil {
		return s, err
	}
	sp, err := sl.span(ctx, time.Unix(0, 0))
	if err != nil {
		return s, err
	}
	s.rate = s.units / end.Sub(sp.decided).Seconds()
	return s, sl.check(ctx)
}

// onMySQL8 measures the drain and one order per transaction on MySQL 8.0 with its
// default binlog, where a commit is most expensive.
func (b *bench) onMySQL8(ctx context.Context) error {
	b.thaw(b.fast.mysql8())
	defer func() { b.freeze(b.others()) }()
	dsn := b.fast.srv.env["SECKILL_TEST_MYSQL8_DSN"]
	var err error
	if b.mysql8, err = b.newSystem(ctx, "mysql8", b.fast.srv, dsn); err != nil {
		return err
	}
	shop, err := b.newShop(ctx, "mysql8", dsn)
	if err != nil {
		return err
	}
	if err := b.ready(ctx, b.mysql8); err != nil {
		return err
	}
	defer b.lasting(3 * time.Second)() // a longer one leaves a backlog that takes too long
	for range min(b.rounds, 3) {
		_, sl, err := b.accepted(ctx, b.mysql8, target{conns: 256})
		if err != nil {
			return err
		}
		ours, err := b.drain(ctx, 1, sl)
		if err != nil {
			return err
		}
		base, err := shop.oneByOne(ctx)
		if err != nil {
			return err
		}
		b.add("drain_tx_mysql8", ours, base)
	}
	return nil
}

// shop has the plain programs that a drain is compared with. They write the same rows
// to the same server, in a database of their own.
type shop struct {
	b    *bench
	db   *sql.DB
	ids  *order.IDMaker
	sale int64
	next atomic.Int64 // number of the next shopper
}

// newShop creates the database, and a sale with more units than can be sold.
func (b *bench) newShop(ctx context.Context, name, dsn string) (*shop, error) {
	dsn, err := withDatabase(ctx, dsn, fmt.Sprintf("bench_shop_%s_%d", name, time.Now().UnixNano()))
	if err != nil {
		return nil, err
	}
	s := &shop{b: b, ids: order.NewIDMaker(1), sale: 1}
	if s.db, err = mysql.OpenDB(dsn, mysql.DBOptions{MaxConns: 8}); err != nil {
		return nil, err
	}
	b.onClose(s.db.Close)
	if err := mysql.Migrate(ctx, s.db, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	now := time.Now()
	store := mysql.NewStore(s.db, slog.New(slog.DiscardHandler))
	_, err = store.CreateSale(ctx, order.Sale{
		ID: s.sale, Title: "benchmark", Currency: "CNY", PriceMinor: 9900, Total: 1e9, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: now, EndsAt: now.Add(time.Hour), PayWithin: time.Hour,
	})
	return s, err
}

const orderColumns = `INSERT INTO orders (id, sale_id, shopper_id, slot, live, quantity, unit_price, status, reason, attempt, idem_key, reference, created_at, decided_at, pay_by) VALUES `

const orderRow = `(?, ?, ?, 0, 1, 1, 9900, 'confirmed', '', 1, 0, '', NOW(3), UTC_TIMESTAMP(3), NOW(3) + INTERVAL 1 HOUR)`

// oneByOne is the usual program: a transaction per order, on eight connections. It
// updates the contended row last, which is the fastest way.
func (s *shop) oneByOne(ctx context.Context) (sample, error) {
	got, _, err := s.b.repeat(ctx, 8, 0, func(ctx context.Context) (int, error) {
		id, err := s.ids.Next()
		if err != nil {
			return 0, err
		}
		tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return 0, err
		}
		if err := s.buy(ctx, tx, order.Order{ID: id, SaleID: s.sale, ShopperID: s.shopper(), Quantity: 1}); err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
		return 1, tx.Commit()
	})
	if err != nil {
		return got, err
	}
	return got, s.balanced(ctx, got)
}

func (s *shop) shopper() string { return strconv.FormatInt(s.next.Add(1), 10) }

func (s *shop) buy(ctx context.Context, tx *sql.Tx, o order.Order) error {
	if _, err := tx.ExecContext(ctx, orderColumns+orderRow, o.ID, o.SaleID, o.ShopperID); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, `UPDATE sales SET available = available - 1, seq = LAST_INSERT_ID(seq + 1) WHERE id = ? AND available >= 1`, o.SaleID)
	if err != nil {
		return err
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return err
	}
	change := order.Changes([]order.Verdict{{Order: o, Status: order.StatusConfirmed, Seq: uint64(seq)}})[0]
	_, err = tx.ExecContext(ctx, `INSERT INTO sale_changes (sale_id, seq, changes) VALUES (?, ?, ?)`, o.SaleID, seq, order.EncodeChange(change))
	return err
}

// balanced fails if the baseline did not do its work.
func (s *shop) balanced(ctx context.Context, got sample) error {
	var rows, changes, sold float64
	err := s.db.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM sale_changes), (SELECT total - available FROM sales)`).Scan(&rows, &changes, &sold)
	if err == nil && (rows != got.units || changes != rows || sold != rows) {
		err = fmt.Errorf("the baseline made %.0f orders, %.0f rows, %.0f changes and sold %.0f units", got.units, rows, changes, sold)
	}
	return errors.Join(err, s.clear(ctx))
}

// bulkRows and bulkConns: more do not make it faster.
const (
	bulkRows  = 1000
	bulkConns = 2
)

// bulk is the limit: the same rows, many at once, and nothing else.
func (s *shop) bulk(ctx context.Context) (sample, error) {
	query := orderColumns + orderRow + strings.Repeat(","+orderRow, bulkRows-1)
	got, _, err := s.b.repeat(ctx, bulkConns, 0, func(ctx context.Context) (int, error) {
		args := make([]any, 0, 3*bulkRows)
		for range bulkRows {
			id, err := s.ids.Next()
			if err != nil {
				return 0, err
			}
			args = append(args, id, s.sale, s.shopper())
		}
		_, err := s.db.ExecContext(ctx, query, args...)
		return bulkRows, err
	})
	return got, errors.Join(err, s.clear(ctx))
}

func (s *shop) clear(ctx context.Context) error {
	return execAll(ctx, s.db, "TRUNCATE TABLE orders", "TRUNCATE TABLE sale_changes", "UPDATE sales SET available = total, seq = 0")
}
