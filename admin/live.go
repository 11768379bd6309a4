package admin

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"seckill/catalog"
	"seckill/fleet"
	"seckill/order"
	"seckill/stock"
)

// Live is the present state of sales and of the processes that sell them.
type Live struct {
	At    time.Time
	Sales []SaleStatus
	// Instances are the live processes; their counters are of all sales.
	Instances []fleet.Instance
	// Away names the servers that did not answer; their part is empty.
	Away []error
}

// Live returns the state of a sale, or for 0 of all sales that are not closed, and
// of the live processes. known are sales from an earlier call, used if MySQL does
// not answer. An unavailable server is not an error, see Live.Away; the only error
// is order.ErrNotFound.
func (s *Service) Live(ctx context.Context, saleID int64, known ...order.Sale) (Live, error) {
	l := Live{At: time.Now().UTC()}
	sales, err := s.watched(ctx, saleID)
	if errors.Is(err, order.ErrNotFound) {
		return l, err
	}
	if err != nil {
		l.Away, sales = append(l.Away, err), known
	}
	asking, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	ms, err := s.ledger.Metas(asking, order.SaleIDs(sales))
	if err != nil {
		l.Away = append(l.Away, &UnavailableError{"redis", err})
	}
	for i, sale := range sales {
		status := SaleStatus{Sale: sale, Meta: stock.Meta{Err: err}}
		if i < len(ms) {
			status.Meta = ms[i]
		}
		l.Sales = append(l.Sales, status)
	}
	is, unheard := s.Instances(ctx)
	if unheard != nil && err == nil { // else Redis has been named
		l.Away = append(l.Away, unheard)
	}
	l.Instances = is
	return l, nil
}

func (s *Service) watched(ctx context.Context, saleID int64) ([]order.Sale, error) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	if saleID == 0 {
		return ask(ctx, s.sales.Sales)
	}
	sale, err := ask(ctx, func(ctx context.Context) (order.Sale, error) { return s.sales.Sale(ctx, saleID) })
	return []order.Sale{sale}, err
}

// LiveView is the JSON of Live. Rates and times are of the last 5 s and of all
// sales.
type LiveView struct {
	At       string  `json:"at"`
	Accepted float64 `json:"accepted_per_second"`
	Refused  float64 `json:"refused_per_second"`
	Settled  float64 `json:"settled_per_second"`
	// Backlog is the number of orders waiting in the queue, the highest count of
	// any API; nil if no API reports one.
	Backlog *int64 `json:"backlog"`
	// DrainSeconds is the time to settle the backlog at the present rate; nil if
	// nothing is settled, or the backlog is unknown.
	DrainSeconds *float64 `json:"drain_seconds"`
	// The time from an order's ID to its result, of the slowest consumer; nil if
	// nothing is settled.
	ToResultP50 *float64 `json:"time_to_result_p50_seconds"`
	ToResultP99 *float64 `json:"time_to_result_p99_seconds"`
	// BreakersOpen maps a server to the instances whose breaker for it is open.
	BreakersOpen map[string][]string `json:"breakers_open,omitempty"`
	Sales        []LiveSaleView      `json:"sales"`
	Instances    []InstanceView      `json:"instances"`
	Away         []string            `json:"away,omitempty"` // servers that do not answer: mysql, redis
}

// LiveSaleView is the JSON of one of its sales. Units are those of Redis; if the
// sale is not loaded or Redis is unavailable, available is from MySQL.
type LiveSaleView struct {
	ID            string  `json:"id"`
	Title         string  `json:"title"`
	Status        string  `json:"status"` // scheduled, open, paused, sold_out or ended, as shoppers see it
	StartsAt      string  `json:"starts_at"`
	EndsAt        string  `json:"ends_at"`
	Loaded        bool    `json:"loaded"`
	Total         int64   `json:"total"`
	Available     int64   `json:"available"`
	Pending       int64   `json:"pending"`
	Settled       int64   `json:"settled"`
	OldestPending float64 `json:"oldest_pending_seconds"`
	Behind        uint64  `json:"changes_behind"` // that MySQL has and Redis does not know
}

// ViewLive returns the JSON of l.
func ViewLive(l Live) LiveView {
	v := LiveView{
		At: timestamp(l.At), Sales: Views(l.Sales, func(s SaleStatus) LiveSaleView { return viewLiveSale(s, l.At) }),
		Instances: Views(l.Instances, ViewInstance),
	}
	for _, f := range l.Instances {
		v.add(f)
	}
	switch {
	case v.Backlog == nil:
	case *v.Backlog <= 0:
		v.DrainSeconds = new(0.)
	case v.Settled > 0:
		v.DrainSeconds = new(float64(*v.Backlog) / v.Settled)
	}
	for _, err := range l.Away {
		v.Away = append(v.Away, away(err))
	}
	return v
}

// away names the server that does not answer; the reason is for logs.
func away(err error) string {
	if e, ok := errors.AsType[*UnavailableError](err); ok {
		return e.Server
	}
	return "unknown"
}

// add adds the load of an instance.
func (v *LiveView) add(i fleet.Instance) {
	l := i.Load
	v.Accepted, v.Refused, v.Settled = v.Accepted+l.Accepted, v.Refused+l.Refused, v.Settled+l.Settled
	if i.Role == fleet.RoleAPI {
		v.Backlog = most(v.Backlog, l.Backlog)
	}
	if l.ToResultP99 > 0 {
		v.ToResultP50, v.ToResultP99 = most(v.ToResultP50, l.ToResultP50), most(v.ToResultP99, l.ToResultP99)
	}
	for _, name := range i.BreakersOpen {
		if v.BreakersOpen == nil {
			v.BreakersOpen = map[string][]string{}
		}
		v.BreakersOpen[name] = append(v.BreakersOpen[name], i.ID)
		slices.Sort(v.BreakersOpen[name])
	}
}

func most[N int64 | float64](a *N, b N) *N {
	if a != nil && *a > b {
		return a
	}
	return &b
}

func viewLiveSale(s SaleStatus, at time.Time) LiveSaleView {
	m := s.Meta
	if !m.Now.IsZero() {
		at = m.Now // it judges the window
	}
	now := catalog.NewSnapshot(s.Sale, m)
	v := LiveSaleView{
		ID: strconv.FormatInt(s.Sale.ID, 10), Title: s.Sale.Title, Status: now.Status(at), StartsAt: timestamp(now.StartsAt), EndsAt: timestamp(now.EndsAt),
		Loaded: m.Loaded, Total: int64(now.Total), Available: int64(s.Sale.Available), Settled: int64(s.Sale.Total - s.Sale.Available),
	}
	if m.Loaded {
		v.Available, v.Pending, v.Settled = m.Available, m.Pending, m.Settled
		v.Behind = max(s.Sale.Seq, m.Applied) - m.Applied
	}
	if !m.OldestPending.IsZero() {
		v.OldestPending = max(0, at.Sub(m.OldestPending).Seconds())
	}
	return v
}
