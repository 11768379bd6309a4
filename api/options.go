package api

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/denial"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/stock"
)

// liveSales is the local copy of the live sales.
type liveSales interface { //nolint:interfacebloat // the sales and their clock
	Get(saleID int64) (*catalog.Snapshot, bool)
	List() []*catalog.Snapshot
	Known(ctx context.Context, saleID int64) bool
	clock
}

// clock tells the time of Redis, and whether the copy has been filled.
type clock interface {
	Now() time.Time
	Ready() bool
}

// reserver takes units. What it refuses is in the Reservation; any other error
// means that there is none, or that the caller cannot know.
type reserver interface {
	Reserve(ctx context.Context, p stock.Purchase) (stock.Reservation, error)
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
// any more; false means that it is still pending. For a young order it asks no
// server.
type resolver interface {
	Resolve(ctx context.Context, o order.Order) (order.Verdict, bool, error)
}

// paymentService cancels and pays orders, in MySQL and in Redis.
type paymentService interface {
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
// right. An error means that it could not be checked.
type challenge interface {
	Check(ctx context.Context, answer, address string) (bool, error)
}

// Options are what a Server needs. All are required unless they say otherwise.
type Options struct {
	Catalog   liveSales      // catalog.Catalog
	Reserver  reserver       // stock.Collector
	Publisher publisher      // rocketmq.Publisher or the in-memory queue's
	Stock     ledger         // stock.Ledger
	Results   listener       // stock.Ledger; nil: held polls only check once a second
	Lookup    lookup         // lookup.Lookup
	Orders    store          // the order store
	Resolver  resolver       // reconcile.Resolver; nil: such orders stay pending
	Payments  paymentService // payment.Service; nil: nothing is cancelled or paid
	IDs       idSource       // order.IDMaker
	Sealer    *order.Sealer
	Tokens    tokens    // auth.Verifier
	Permits   *Permits  // for the sales that require a purchase permit
	Challenge challenge // siteverify.Verifier; nil: permits need no challenge

	// PaymentSecrets are those that payments may be signed with: several while
	// they are rotated. None: payments are refused.
	PaymentSecrets [][]byte

	// Gate is asked before anything is deducted of a sale: nil lets the purchase
	// through, ErrBacklog refuses it as backlog, any other error as
	// dependency-down. Nil: no gate.
	Gate func(ctx context.Context, saleID int64) error

	// Quiet reports whether so few orders wait in the queue that an order of some
	// seconds should have been settled. Nil: never.
	Quiet func() bool

	Tracer  *telemetry.Tracer // nil: no traces
	Metrics *Metrics          // nil: metrics that nobody reads
	Denials *denial.Recorder  // nil: refused credentials are logged, and nobody reads their number
	Log     *slog.Logger

	Pages          bool           // serve the sample page of shoppers, and the document as a page
	Limits         Limits         // the zero value stands for DefaultLimits
	CORSOrigins    []string       // exact origins, or "*"; none by default
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is trusted
}
