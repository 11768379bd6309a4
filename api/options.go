package api

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/stock"
)

// catalog is the local copy of the live sales.
type liveSales interface {
	saleFinder
	clock
}

type saleFinder interface {
	Get(saleID int64) (*catalog.Snapshot, bool)
	List() []*catalog.Snapshot
	Known(ctx context.Context, saleID int64) bool
}

// clock tells the time that Redis has, and whether the copy has been filled.
type clock interface {
	Now() time.Time
	Ready() bool
}

// reserver takes units. What it refuses is in the Reservation; any other error
// says that there is none, or that nobody knows.
type reserver interface {
	Reserve(ctx context.Context, o order.Order) (stock.Reservation, error)
}

type publisher interface {
	Publish(ctx context.Context, o order.Order) error
}

type ledger interface {
	Urgent(ctx context.Context, saleID int64, os ...order.Order) error
	Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (stock.Entry, bool, error)
	Entries(ctx context.Context, saleID int64, shopper string) ([]stock.Entry, error)
}

type listener interface {
	Listen(ctx context.Context, onResult func(saleID int64, ids []order.ID), onSale func(saleID int64)) error
}

type lookup interface {
	Get(ctx context.Context, id order.ID) (order.Record, error)
}

type store interface {
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
	Sale(ctx context.Context, id int64) (order.Sale, error)
}

// resolver decides an order that is in neither store, if it is too old to arrive
// any more; false means that it is still pending. It asks nobody about a young
// one.
type resolver interface {
	Resolve(ctx context.Context, o order.Order) (order.Verdict, bool, error)
}

// till cancels and pays orders, in MySQL and in Redis.
type till interface {
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
}

type idSource interface {
	Next() (order.ID, error)
}

type tokens interface {
	Verify(token string) (auth.Identity, error)
}

// challenge tells whether the answer to a challenge, such as a captcha, is
// right. An error says that nobody could tell.
type challenge interface {
	Check(ctx context.Context, answer, address string) (bool, error)
}

// Options are what a Server needs. All are required unless they say otherwise.
type Options struct {
	Catalog   liveSales // stock.Catalog
	Reserver  reserver  // stock.Collector
	Publisher publisher // rocketmq.Publisher or its twin
	Stock     ledger    // stock.Ledger
	Results   listener  // stock.Ledger; nil: polls wait for the slow recheck only
	Lookup    lookup    // order.Lookup
	Orders    store     // order.Store
	Resolver  resolver  // reconcile.Resolver; nil: such orders stay pending
	Till      till      // reconcile.Till; nil: nothing is cancelled or paid
	IDs       idSource  // order.IDMaker
	Sealer    *order.Sealer
	Tokens    tokens    // Verifier
	Permits   *Permits  // for the sales that require a purchase permit
	Challenge challenge // siteverify.Verifier; nil: permits are given without a challenge

	// PaymentSecrets are those that payments may be signed with: several while
	// they are rotated. None: payments are refused.
	PaymentSecrets [][]byte

	// Gate is asked before anything is deducted: nil lets the purchase through,
	// ErrBacklog refuses it as backlog, any other error as dependency-down.
	// Nil: no such gate.
	Gate func() error

	// Quiet reports whether so few orders wait in the queue that one which is
	// seconds old should have been settled. Nil: never.
	Quiet func() bool

	Tracer  *telemetry.Tracer // nil: nothing is traced
	Metrics *Metrics          // nil: metrics of its own that nobody reads
	Log     *slog.Logger

	Limits         Limits         // the zero value stands for DefaultLimits
	CORSOrigins    []string       // exact origins, or "*"; none by default
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
}

// Limits are how much one process takes on.
type Limits struct {
	BuyInflight  int     // purchases under way; more are refused as overloaded
	PollInflight int     // reads of orders under way, apart from the held ones
	HeldPolls    int     // long polls held; past it the answer comes at once
	ShopperRPS   float64 // requests a second of one shopper, at this process; 0 is no limit
	ShopperBurst int     // requests a shopper may make at once
	AddressRPS   float64 // requests a second of one address (IPv6: of one /64), at this process; 0 is no limit. Its burst is 5 s of it
	AccessLog    int     // one request in so many is logged; 0 is none. Failures of ours always are
}

// DefaultLimits returns the defaults. In-flight: at 5 ms a purchase, 4,096 are
// twenty times what a core accepts; reached only when a dependency hangs.
func DefaultLimits() Limits {
	return Limits{BuyInflight: 4096, PollInflight: 4096, HeldPolls: 20_000, ShopperRPS: 10, ShopperBurst: 50, AccessLog: 1024}
}
