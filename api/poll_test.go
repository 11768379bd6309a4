package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/order"
	"seckill/stock"
)

// mine is an order of shopper 42, made this long ago.
func mine(age time.Duration) order.Order {
	return order.Order{ID: idAt(time.Now().Add(-age)), SaleID: openSale, ShopperID: "42", Quantity: 2, Reference: "cart"}
}

func pendingEntry(o order.Order) []stock.Entry {
	return []stock.Entry{{Order: o, State: stock.EntryPending}}
}

func rowOf(o order.Order, st order.Status, reason order.Reason) order.Record {
	r := order.Record{Order: o, Status: st, Reason: reason, UnitPrice: 9900, DecidedAt: o.ID.Time().Add(time.Second)}
	if st != order.StatusRejected {
		r.PayBy = o.ID.Time().Add(10 * minute)
	}
	return r
}

func TestWhatAPollSays(t *testing.T) {
	t.Parallel()
	away, began := errors.New("away"), time.Now()
	young, late, old := mine(time.Second), mine(6*time.Second), mine(2*minute)
	other := young
	other.ShopperID = "someone else"
	tests := []struct {
		name     string
		o        order.Order
		setup    func(*backends)
		resolve  resolveFunc
		status   int
		want     string // order status, or problem code
		problem  string
		resolved bool
	}{
		{"reserved", young, func(b *backends) { b.entries = pendingEntry(young) }, nil, 200, "pending", "", false},
		{"reserved, MySQL away", young, func(b *backends) { b.entries, b.rowErr = pendingEntry(young), away }, nil, 200, "pending", "", false},
		{"confirmed", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "confirmed", "") }, nil, 200, "confirmed", "", false},
		{"confirmed, Redis away", young, func(b *backends) { b.entryErr, b.rows[young.ID] = away, rowOf(young, "confirmed", "") }, nil, 200, "confirmed", "", false},
		{"paid, though Redis says settled", young, func(b *backends) {
			b.entries = []stock.Entry{{Order: young, State: stock.EntrySettled}}
			b.rows[young.ID] = rowOf(young, "paid", "")
		}, nil, 200, "paid", "", false},
		{"cancelled", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "cancelled", "") }, nil, 200, "cancelled", "", false},
		{"sold out", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "rejected", "sold_out") }, nil, 200, "rejected", "sold-out", false},
		{"over the limit", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "rejected", "purchase_limit") }, nil, 200, "rejected", "purchase-limit", false},
		{"no attempts left", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "rejected", "attempts_used") }, nil, 200, "rejected", "attempts-used", false},
		{"void", young, func(b *backends) { b.rows[young.ID] = rowOf(young, "rejected", "void") }, nil, 200, "rejected", "order-failed", false},
		{"nowhere yet", young, func(*backends) {}, never, 200, "pending", "", false},
		{"nowhere yet, a dead letter in sight", young, func(b *backends) { b.verdicts = []order.Verdict{collided(young)} }, never, 200, "pending", "", false},
		{"nowhere, a dead letter", late, func(b *backends) { b.verdicts = []order.Verdict{collided(late)} }, never, 200, "rejected", "order-failed", false},
		{"given back, a dead letter", young, func(b *backends) {
			b.entries = []stock.Entry{{Order: young, State: stock.EntryRejected}}
			b.verdicts = []order.Verdict{collided(young)}
		}, never, 200, "rejected", "order-failed", false},
		{"nowhere, Redis away", old, func(b *backends) { b.entryErr = away }, never, 200, "pending", "", false},
		{"nowhere, MySQL away", old, func(b *backends) { b.rowErr = away }, never, 503, "dependency-down", "", false},
		{"both away", old, func(b *backends) { b.entryErr, b.rowErr = away, away }, never, 503, "dependency-down", "", false},
		{"nowhere for long, still possible", old, func(*backends) {}, stillPossible, 200, "pending", "", true},
		{"nowhere for long, the resolver cannot tell", old, func(*backends) {}, cannotTell, 200, "pending", "", true},
		{"nowhere, and of the future", order.Order{ID: idAt(time.Now().Add(time.Hour)), SaleID: openSale, ShopperID: "42", Quantity: 1}, func(*backends) {}, voided, 200, "rejected", "order-failed", true},
		{"nowhere for long, voided", old, func(*backends) {}, voided, 200, "rejected", "order-failed", true},
		{"settled in Redis, no row", old, func(b *backends) { b.entries = []stock.Entry{{Order: old, State: stock.EntrySettled}} }, never, 200, "pending", "", false},
		{"ID taken by another", young, func(b *backends) { b.rows[young.ID] = rowOf(other, "confirmed", "") }, stillPossible, 200, "pending", "", true},
		{"ID taken by another, decided", young, func(b *backends) {
			b.rows[young.ID] = rowOf(other, "confirmed", "")
			b.verdicts = []order.Verdict{collided(young)}
		}, nil, 200, "rejected", "order-failed", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resolved := false
			s := newShop(t, func(s *shop) {
				s.backends.now = func() time.Time { return began } // however long it waited for its turn
				s.opts.Resolver = resolveFunc(func(o order.Order) (order.Verdict, bool, error) {
					resolved = true
					return tt.resolve(o)
				})
			})
			tt.setup(s.backends)
			a := s.get(t, "/v1/orders/"+s.publicID(tt.o))
			require.Equal(t, tt.status, a.StatusCode, a.text)
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
			require.Equal(t, tt.resolved, resolved)
			if tt.status != 200 {
				problem(t, a, tt.status, tt.want)
				return
			}
			require.Equal(t, tt.want, a.str("status"))
			require.Equal(t, tt.want != "pending", a.body["done"])
			require.Equal(t, tt.want == "pending", a.Header.Get("Retry-After") != "")
			p, _ := a.body["problem"].(map[string]any)
			if tt.problem == "" {
				require.Nil(t, p)
			} else {
				require.Equal(t, tt.problem, p["code"])
				require.Equal(t, "/problems/"+tt.problem, p["type"])
				require.NotEmpty(t, p["title"])
			}
			if tt.want == "confirmed" {
				require.InDelta(t, 19800, a.body["amount_minor"], 0)
				require.Equal(t, "CNY", a.str("currency"))
				require.Equal(t, "cart", a.str("reference"))
				require.NotEmpty(t, a.str("pay_by"))
				require.NotEmpty(t, a.str("decided_at"))
			}
		})
	}
}

func collided(o order.Order) order.Verdict {
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.ReasonCollision}
}

type resolveFunc func(order.Order) (order.Verdict, bool, error)

func (f resolveFunc) Resolve(_ context.Context, o order.Order) (order.Verdict, bool, error) {
	return f(o)
}

func never(order.Order) (order.Verdict, bool, error) { panic("must not be asked") }

func stillPossible(order.Order) (order.Verdict, bool, error) { return order.Verdict{}, false, nil }

func cannotTell(order.Order) (order.Verdict, bool, error) {
	return order.Verdict{}, false, errors.New("queue away")
}

func voided(o order.Order) (order.Verdict, bool, error) {
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.ReasonVoid}, true, nil
}

func TestForgedForeignAndUnknownIDsAreOneAndTheSame404(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	foreign := mine(0)
	foreign.ShopperID = "43"
	id := s.publicID(mine(0))
	flipped := "B" + id[1:]
	var texts []string
	for _, public := range []string{s.publicID(foreign), flipped, id[:31], id + "A", "x", "%00", "..", "'%20OR%201=1", id + "/x"} {
		a := s.get(t, "/v1/orders/"+public+"?wait=20s")
		problem(t, a, 404, "not-found")
		texts = append(texts, a.text)
	}
	for _, text := range texts {
		require.Equal(t, texts[0], text)
	}
	require.Empty(t, s.backends.calls())
}

func TestAClosedSalesOrderHasItsCurrency(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := mine(time.Second)
	o.SaleID = closedSale
	s.backends.rows[o.ID] = rowOf(o, order.StatusPaid, "")
	for range 3 {
		require.Equal(t, "EUR", s.get(t, "/v1/orders/"+s.publicID(o)).str("currency"))
	}
	asked := 0
	for _, c := range s.backends.calls() {
		if c == "sale" {
			asked++
		}
	}
	require.Equal(t, 1, asked)
}

func TestAPollOfAClosedSaleBelievesNoRedisThatCameBackOlder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := mine(time.Second)
	o.SaleID = closedSale
	s.backends.rows[o.ID] = rowOf(o, order.StatusPaid, "")
	s.backends.entries = pendingEntry(o)
	require.Equal(t, "paid", s.get(t, "/v1/orders/"+s.publicID(o)).str("status"))
	require.NotContains(t, s.backends.calls(), "entries")
}

func TestPollsBackOffWithTheOrdersAge(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for age, most := range map[time.Duration]float64{0: 1000, 4 * time.Second: 2100, minute: 5000} {
		o := mine(age)
		s.backends.entries = pendingEntry(o)
		a := s.get(t, "/v1/orders/"+s.publicID(o))
		after, _ := a.body["poll_after_ms"].(float64)
		require.LessOrEqual(t, after, most)
		require.GreaterOrEqual(t, after, most*0.69)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := mine(0)
	s.backends.rows[o.ID] = rowOf(o, order.StatusPaid, "")
	for _, wait := range []string{"20s", "20", "0", "0s", "1m30s", "999999", ""} {
		require.Equal(t, 200, s.get(t, "/v1/orders/"+s.publicID(o)+"?wait="+wait).StatusCode, wait)
	}
	for _, wait := range []string{"-1s", "-1", "soon", "1.5"} {
		problem(t, s.get(t, "/v1/orders/"+s.publicID(o)+"?wait="+wait), 422, "validation")
	}
}

// One shopper cannot take all the polls that may be held.
func TestAFewPollsOfOneShopperAreHeld(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		s.server.SetLimits(api.Limits{HeldPolls: 100, PollInflight: 100})
		began := time.Now()
		var held []<-chan string
		for range 6 {
			held = append(held, s.held(t.Context(), o, "20s"))
			synctest.Wait()
		}
		require.Contains(t, <-s.held(t.Context(), o, "20s"), `"pending"`)
		require.Zero(t, time.Since(began), "the seventh is answered at once")
		for _, h := range held {
			require.Contains(t, <-h, `"pending"`)
		}
		require.Equal(t, 20*time.Second, time.Since(began))
		require.Contains(t, <-s.held(t.Context(), o, "1s"), `"pending"`)
		require.Equal(t, 21*time.Second, time.Since(began), "held again")
	})
}

// held polls o in the background with the given wait.
func (s *shop) held(ctx context.Context, o order.Order, wait string) <-chan string {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/orders/"+s.publicID(o)+"?wait="+wait, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token("42"))
	done := make(chan string, 1)
	go func() {
		rec := httptest.NewRecorder()
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Sprint(v)
				return
			}
			done <- rec.Body.String()
		}()
		s.h.ServeHTTP(rec, r)
	}()
	return done
}

// bubble runs fn with a shop whose clock stands in 2030 and whose order is
// pending.
func bubble(t *testing.T, fn func(t *testing.T, s *shop, o order.Order, stop context.CancelFunc)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shift := time.Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		s := newShop(t, func(s *shop) {
			s.backends.now = func() time.Time { return time.Now().Add(shift) }
			s.opts.Limits.HeldPolls = 2
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.server.Run(ctx) }()
		synctest.Wait()
		o := order.Order{ID: idAt(s.backends.now()), SaleID: openSale, ShopperID: "42", Quantity: 1}
		s.backends.set(func() { s.backends.entries = pendingEntry(o) })
		fn(t, s, o, cancel)
		cancel()
		require.NoError(t, <-done)
		synctest.Wait()
	})
}

func settle(s *shop, o order.Order) {
	s.backends.set(func() { s.backends.entries, s.backends.rows[o.ID] = nil, rowOf(o, order.StatusConfirmed, "") })
}

func TestAResultWakesItsWaiters(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		began := time.Now()
		a, b := s.held(t.Context(), o, "20s"), s.held(t.Context(), o, "20s")
		synctest.Wait()
		require.Empty(t, a)
		settle(s, o)
		s.backends.onResult(openSale, []order.ID{o.ID + 1})
		synctest.Wait()
		require.Empty(t, a, "another order's result is none of theirs")
		s.backends.onResult(openSale, []order.ID{o.ID, o.ID + 1})
		require.Contains(t, <-a, `"confirmed"`)
		require.Contains(t, <-b, `"confirmed"`)
		require.Zero(t, time.Since(began))
	})
}

func TestALostMessageIsMadeUpForWithinASecond(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		began := time.Now()
		a := s.held(t.Context(), o, "20s")
		synctest.Wait()
		settle(s, o)
		require.Contains(t, <-a, `"confirmed"`)
		require.LessOrEqual(t, time.Since(began), 1100*time.Millisecond)
	})
}

func TestAHeldPollEndsWithItsWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		for wait, took := range map[string]time.Duration{"20s": 20 * time.Second, "2": 2 * time.Second, "1h": 30 * time.Second} {
			began := time.Now()
			require.Contains(t, <-s.held(t.Context(), o, wait), `"pending"`)
			require.Equal(t, took, time.Since(began))
		}
	})
}

func TestPastTheCapOfHeldPollsTheAnswerComesAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		began := time.Now()
		a, b := s.held(t.Context(), o, "20s"), s.held(t.Context(), o, "20s")
		synctest.Wait()
		require.Contains(t, <-s.held(t.Context(), o, "20s"), `"pending"`)
		require.Zero(t, time.Since(began))
		<-a
		<-b
		began = time.Now()
		<-s.held(t.Context(), o, "20s")
		require.Equal(t, 20*time.Second, time.Since(began), "their places are free again")
	})
}

func TestAServerThatStopsLetsHeldPollsGo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, stop context.CancelFunc) {
		began := time.Now()
		a := s.held(t.Context(), o, "20s")
		synctest.Wait()
		s.server.SetReady(false)
		require.Contains(t, <-a, `"pending"`)
		require.Contains(t, <-s.held(t.Context(), o, "20s"), `"pending"`, "none is held any more")
		s.server.SetReady(true)
		b := s.held(t.Context(), o, "20s")
		synctest.Wait()
		require.Empty(t, b)
		stop()
		<-b
		require.Zero(t, time.Since(began))
	})
}

func TestAHeldPollEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		ctx, leave := context.WithCancel(t.Context())
		a := s.held(ctx, o, "20s")
		synctest.Wait()
		leave()
		require.Equal(t, http.ErrAbortHandler.Error(), <-a, "no answer, not an empty one")
		require.Empty(t, s.logs.String(), "it is nobody's fault")
	})
}
