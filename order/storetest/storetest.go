// Package storetest is the suite that every order store passes: MySQL, MariaDB and
// the one in memory. A store that passes it keeps the order protocol.
package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// Store has all methods of both stores. Only this suite needs so large an interface.
type Store interface {
	Ping(ctx context.Context) error
	NextNodeID(ctx context.Context) (int64, error)
	LastNodeID(ctx context.Context) (int64, error)
	CreateSale(ctx context.Context, s order.Sale) (order.Sale, error)
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Sales(ctx context.Context) ([]order.Sale, error)
	ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error)
	SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error)
	Create(ctx context.Context, c order.Creation) (order.Sale, error)
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
	SalesNamed(ctx context.Context, n order.SaleName) ([]order.Sale, error)
	SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error)
	CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error)
	DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error
	Note(ctx context.Context, e order.AuditEntry) (bool, error)
	AuditLog(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error)
	RaiseEpoch(ctx context.Context, id int64) (uint64, error)
	Snapshot(ctx context.Context, id int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error)
	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
	Void(ctx context.Context, o order.Order) (order.Verdict, error)
	AddDeadLetter(ctx context.Context, d order.DeadLetter) error
	DeadLetters(ctx context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error)
	Find(ctx context.Context, ids []order.ID) ([]order.Record, error)
	Verdicts(ctx context.Context, os []order.Order) ([]order.Verdict, []order.Order, error)
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) ([]order.Record, order.SlotCursor, error)
	DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error)
	CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error)
	Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error)
	Tally(ctx context.Context, saleID int64) (order.Tally, error)
	Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error)
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error)
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
	Payments(ctx context.Context, q order.PaymentQuery) ([]order.PaymentRecord, error)
	Refunded(ctx context.Context, by order.Operator, cmd, event string) (order.PaymentRecord, error)
	OpenRefunds(ctx context.Context) (order.RefundCount, error)
	AdoptPayments(ctx context.Context) (int, error)
	Unpaid(ctx context.Context, saleID int64) (bool, error)
	Orders(ctx context.Context, q order.Query) ([]order.Record, order.ID, error)
	OfShopper(ctx context.Context, saleIDs []int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (order.ID, error)
	Extended(ctx context.Context, sale order.Sale) error
	Limits(ctx context.Context) (order.Limits, error)
	ChangeLimits(ctx context.Context, c order.LimitsChange) (order.Limits, error)
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
}

// Run runs the suite on a store, which may hold other sales.
func Run(t *testing.T, store Store) {
	s := &suite{store: store, ids: order.NewIDMaker(rand.Int64N(1 << 13))}
	for name, test := range map[string]func(*testing.T, *suite){
		"settle confirms and keeps every field":                   settleConfirms,
		"settle answers a redelivery with the first verdict":      settleRedelivery,
		"settle counts an order once that a batch repeats":        settleRepeated,
		"settle gives two orders under one ID a verdict each":     settleCollision,
		"settle gives an order whose slot is taken the next free": settleMoves,
		"settle rejects a shopper who has no slot left":           settleLimit,
		"settle lets an order without a slot choose first":        settleChoosesFirst,
		"settle lets one key buy once":                            settleKeys,
		"settle lets one key buy once, whoever is first":          settleRivals,
		"settle confirms what fits and rejects the rest":          settlePartly,
		"settle rejects poison and nothing beside it":             settlePoison,
		"settle works on several sales at once":                   settleSales,
		"settle of nothing does nothing":                          settleNothing,
		"void stops a late message":                               voidStopsLate,
		"void leaves a verdict alone":                             voidDecided,
		"void of another order's ID is a collision":               voidCollision,
		"sales are created once":                                  salesCreated,
		"sales keep what they ask of a purchase":                  salesGates,
		"sales refuse fields out of range":                        salesInvalid,
		"sales move between states":                               salesMove,
		"sales take a command once":                               salesCommands,
		"sales are restocked and destocked":                       salesRestock,
		"sales are listed until they are closed":                  salesListed,
		"an operator's change is in the audit log":                operateLogs,
		"an operation may require the version that it saw":        operateVersions,
		"of operators who saw the same version one wins":          operatorsRace,
		"what shoppers were promised is fixed once a sale opens":  changeFixed,
		"a command makes one sale":                                createOnce,
		"what is done elsewhere is noted once":                    noteOnce,
		"the audit log comes in pages":                            auditPages,
		"cancelled and discarded by an operator":                  operatorCancels,
		"a voided sale keeps no unpaid order":                     voidCancels,
		"an extension holds before the rows have it":              extendHolds,
		"limits are changed by generation and logged":             limitsChange,
		"orders are found by sale, reference and shopper":         ordersFound,
		"a sale is found by each of its names":                    salesNamed,
		"sales of every state come in pages":                      salesPages,
		"the epoch rises":                                         epochRises,
		"node IDs are used once":                                  nodeIDsUnique,
		"a snapshot holds all live orders":                        snapshotPages,
		"a tally adds up":                                         tallyAddsUp,
		"a report has every order of its sale once":               reportAddsUp,
		"a shopper's orders come in pages":                        shopperPages,
		"verdicts are believed only for the very order":           verdictsCompare,
		"changes come in pages":                                   changesPage,
		"dead letters are added once":                             deadLettersAdded,
		"dead letters are found by name and discarded":            deadLettersDiscarded,
		"live orders come by shopper and slot":                    livePages,
		"concurrent settlers agree":                               settlersAgree,
		"a cancelled order gives its units and slot back":         cancelGivesBack,
		"what is paid or rejected is not cancelled":               cancelRefused,
		"what a shopper returned counts":                          returnsCount,
		"no more is sold to who returned too much":                returnsLimit,
		"two orders returned at once are two":                     returnsTogether,
		"of returns and purchases in any order none is missed":    returnsRace,
		"a report counts shoppers by what they returned":          returnsReported,
		"a snapshot pages what was returned":                      returnsPaged,
		"an order is paid once":                                   payOnce,
		"a late payment requires a refund":                        payLate,
		"a wrong payment pays nothing":                            payWrongly,
		"what is to be refunded is listed":                        refundsListed,
		"a refund is marked once":                                 refundsMarked,
		"a wrong amount may be corrected until it is refunded":    wrongAmountCorrected,
		"a payment to be refunded is an event":                    eventsOfRefunds,
		"unpaid orders expire":                                    expireUnpaid,
		"one scan reads past many small changes":                  expireLooksAhead,
		"of payment, cancellation and expiry one wins":            oneWins,
		"every change of an order is an event, once":              eventsTold,
		"events come in pages of whole changes":                   eventsPaged,
		"a collision is no event of the order it collides with":   eventsOfCollision,
		"the cursor of events moves forward alone":                eventsCursor,
		"one process at a time has a sale's events":               eventsLease,
		"events of a closed sale are looked for":                  eventsOfClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

type suite struct {
	store Store
	ids   *order.IDMaker
}

func (s *suite) id(t *testing.T) order.ID {
	t.Helper()
	id, err := s.ids.Next()
	require.NoError(t, err)
	return id
}

// draft is a valid sale that no store has yet.
func (s *suite) draft(t *testing.T, units, slots int) order.Sale {
	t.Helper()
	id := int64(s.id(t))
	return order.Sale{
		ID: id, ExternalID: "ext-" + strconv.FormatInt(id, 10), Title: "Ein Stück 限量", SKU: "sku-1", PriceMinor: 9900, Currency: "CNY",
		Total: units, OrdersPerShopper: slots, UnitsPerOrder: 5,
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), PayWithin: 10 * time.Minute,
	}
}

// sale returns a new sale.
func (s *suite) sale(t *testing.T, units, slots int) order.Sale {
	t.Helper()
	sale, err := s.store.CreateSale(t.Context(), s.draft(t, units, slots))
	require.NoError(t, err)
	return sale
}

// order returns a new order of one unit and slot 0.
func (s *suite) order(t *testing.T, saleID int64, shopper string) order.Order {
	t.Helper()
	return order.Order{ID: s.id(t), SaleID: saleID, ShopperID: shopper, Quantity: 1}
}

// settle settles a batch and returns the verdicts by ID.
func (s *suite) settle(t *testing.T, batch ...order.Order) map[order.ID]order.Verdict {
	t.Helper()
	vs, err := s.store.Settle(t.Context(), batch)
	require.NoError(t, err)
	byID := make(map[order.ID]order.Verdict, len(vs))
	for _, v := range vs {
		byID[v.ID] = v
	}
	return byID
}

// record returns the row of an order.
func (s *suite) record(t *testing.T, id order.ID) order.Record {
	t.Helper()
	found, err := s.store.Find(t.Context(), []order.ID{id})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// restock adds units under the name of a command.
func (s *suite) restock(ctx context.Context, cmd string, saleID int64, units int) (order.Sale, error) {
	return s.store.Operate(ctx, order.Operation{Command: cmd, SaleID: saleID, Action: order.Restocking(units)})
}

func (s *suite) read(t *testing.T, saleID int64) order.Sale {
	t.Helper()
	sale, err := s.store.Sale(t.Context(), saleID)
	require.NoError(t, err)
	return sale
}

func (s *suite) available(t *testing.T, saleID int64) int {
	t.Helper()
	return s.read(t, saleID).Available
}

// move moves a sale from state to state.
func (s *suite) move(t *testing.T, saleID int64, to ...order.SaleState) (sale order.Sale) {
	t.Helper()
	for _, state := range to {
		var err error
		sale, err = s.store.SetSaleState(t.Context(), s.id(t).String(), saleID, state)
		require.NoError(t, err)
	}
	return sale
}

// orders returns n new orders, each of another shopper.
func (s *suite) orders(t *testing.T, saleID int64, n int) []order.Order {
	t.Helper()
	os := make([]order.Order, n)
	for i := range os {
		os[i] = s.order(t, saleID, fmt.Sprint("shopper-", i))
	}
	return os
}

// settleAll settles as many orders as a batch of the consumer never has.
func (s *suite) settleAll(t *testing.T, os []order.Order) {
	t.Helper()
	for batch := range slices.Chunk(os, 200) {
		s.settle(t, batch...)
	}
}

func (s *suite) cancel(t *testing.T, id order.ID) order.Verdict {
	t.Helper()
	v, err := s.store.Cancel(t.Context(), id)
	require.NoError(t, err)
	return v
}

func (s *suite) void(t *testing.T, o order.Order) order.Verdict {
	t.Helper()
	v, err := s.store.Void(t.Context(), o)
	require.NoError(t, err)
	return v
}

func requireVerdict(t *testing.T, v order.Verdict, status order.Status, reason order.Reason) {
	t.Helper()
	require.Equal(t, string(status)+" "+string(reason), string(v.Status)+" "+string(v.Reason), "order %d", v.ID)
}
