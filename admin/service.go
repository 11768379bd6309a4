// Package admin has the operators' actions: on sales, orders, dead letters and
// limits. The HTTP API (admin/http) and the command line both call Service.
//
// Each action is one transaction in MySQL, which also writes a row of the audit
// log. The action has a command ID: repeated under the same ID, it does nothing
// more. Afterwards Redis and every instance are updated; if that fails, or the
// process dies in between, the consumers do it within seconds from the log of
// changes.
package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"seckill/order"
	"seckill/stock"
)

// Call is who calls an action, and how.
type Call struct {
	By order.Operator
	// Command names the action: the same name again does nothing more.
	Command string
	// IfVersion is the version of the sale, or the generation of the limits, that
	// the operator saw; 0 for any.
	IfVersion uint64
}

// operations change sales.
type operations interface {
	NextNodeID(ctx context.Context) (int64, error)
	Create(ctx context.Context, c order.Creation) (order.Sale, error)
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
}

// sales are read.
type sales interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Sales(ctx context.Context) ([]order.Sale, error)
	SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error)
}

// names finds sales by ID or external ID.
type names interface {
	SalesNamed(ctx context.Context, n order.SaleName) ([]order.Sale, error)
}

// ledger is Redis.
type ledger interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
	Announce(ctx context.Context, saleID int64) error
}

// loader puts a sale into Redis that belongs there and is not.
type loader interface {
	Load(ctx context.Context, saleID int64) error
}

// tail applies the changes of a sale after a seq to Redis, in order.
type tail interface {
	CatchUp(ctx context.Context, saleID int64, after uint64) error
}

// Options are what a Service works with.
type Options struct {
	Operations  operations
	Sales       sales
	Names       names
	AuditLog    auditLog
	Orders      orders
	Search      search
	DeadLetters deadLetters
	Payments    payments
	Reports     reports
	Ledger      ledger
	Entries     entries
	Loader      loader
	Tail        tail
	Auditor     auditor
	Rebuilder   rebuilder
	Limits      limitStore
	LimitRules  LimitRules
	Fleet       instances
	Log         *slog.Logger
}

// Service has the actions of operators. It does not check who may call them: the
// HTTP handler does, and the command line needs the database's password.
type Service struct {
	operations  operations
	sales       sales
	names       names
	auditLog    auditLog
	orders      orders
	search      search
	deadLetters deadLetters
	payments    payments
	reports     reports
	ledger      ledger
	entries     entries
	loader      loader
	tail        tail
	auditor     auditor
	rebuilder   rebuilder
	limits      limitStore
	limitRules  LimitRules
	fleet       instances
	log         *slog.Logger
}

// New returns a Service.
func New(o Options) *Service {
	return &Service{
		operations: o.Operations, sales: o.Sales, names: o.Names, auditLog: o.AuditLog, orders: o.Orders, search: o.Search,
		deadLetters: o.DeadLetters, payments: o.Payments, reports: o.Reports, ledger: o.Ledger, entries: o.Entries, loader: o.Loader,
		tail: o.Tail, auditor: o.Auditor, rebuilder: o.Rebuilder, limits: o.Limits, limitRules: o.LimitRules,
		fleet: o.Fleet, log: o.Log,
	}
}

// Result is a sale after an action on it.
type Result struct {
	Sale order.Sale
	// Behind is why Redis, and so the instances, do not have the change yet; nil if
	// they do. The change stands, and the consumers apply it later.
	Behind error
}

// UnavailableError is the error of an action that failed because a server is down.
type UnavailableError struct {
	Server string // mysql or redis
	Err    error
}

func (e *UnavailableError) Error() string {
	return e.Server + ": " + strings.TrimPrefix(e.Err.Error(), e.Server+": ")
}

// Unwrap returns the server's error.
func (e *UnavailableError) Unwrap() error { return e.Err }

const (
	askTimeout  = 5 * time.Second  // one call to MySQL
	pushTimeout = 60 * time.Second // a large sale takes a while to load
)

// ask calls MySQL. An error that is not one of its answers means that it is down.
func ask[T any](ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	v, err := fn(ctx)
	return v, fault(err)
}

func fault(err error) error {
	if err == nil {
		return nil
	}
	for _, answer := range []error{order.ErrNotFound, order.ErrConflict, order.ErrStale, order.ErrInvalid} {
		if errors.Is(err, answer) {
			return err
		}
	}
	if _, ok := errors.AsType[*order.FieldError](err); ok {
		return err
	}
	return &UnavailableError{"mysql", err}
}

// afterwards is the context of what follows a commit. It continues after the operator
// disconnects.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), pushTimeout)
}

// push updates Redis and every instance with a sale's last change before the response.
func (s *Service) push(ctx context.Context, sale order.Sale) error {
	if sale.State.Loaded() {
		if err := s.loader.Load(ctx, sale.ID); err != nil {
			return err
		}
	}
	ms, err := s.ledger.Metas(ctx, []int64{sale.ID})
	if err != nil {
		return err
	}
	if ms[0].Loaded && ms[0].Applied < sale.Seq {
		if err := s.tail.CatchUp(ctx, sale.ID, ms[0].Applied); err != nil {
			return err
		}
	}
	// All instances read their sales again, since MySQL has changed too.
	return s.ledger.Announce(ctx, stock.AllSales)
}

// done is the result of an action that was committed.
func (s *Service) done(ctx context.Context, c Call, action string, sale order.Sale) Result {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	return s.tell(ctx, c, action, sale)
}

func (s *Service) tell(ctx context.Context, c Call, action string, sale order.Sale) Result {
	r := Result{Sale: sale}
	if err := s.push(ctx, sale); err != nil {
		r.Behind = &UnavailableError{"redis", fmt.Errorf("%w (the change stands; the consumers bring it to Redis within seconds of its return)", err)}
	}
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", action, "sale_id", sale.ID, "command", c.Command, "behind", r.Behind != nil)
	return r
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// NewCommand returns a unique name for a command.
func NewCommand() string { return "cmd-" + rand.Text() }

// CommandID is the name of a command, made of parts. No input of an operator gives the
// name of a command of our own processes.
func CommandID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "key-" + hex.EncodeToString(sum[:20])
}

// Views returns the views of all items; empty, not nil, without any.
func Views[T, V any](items []T, view func(T) V) []V {
	views := make([]V, len(items))
	for i, item := range items {
		views[i] = view(item)
	}
	return views
}
