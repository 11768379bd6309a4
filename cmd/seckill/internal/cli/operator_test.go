package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"seckill/admin"
	"seckill/order"
	"seckill/order/memory"
	queuememory "seckill/queue/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// office is where an operator works, on stores in memory.
type office struct {
	t       *testing.T
	store   *memory.Store
	service *admin.Service
	ids     *order.IDMaker

	p              *process
	stdout, stderr *bytes.Buffer
	meanwhile      func() // somebody else, while a question waits
}

func newOffice(t *testing.T) *office {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	o := &office{t: t, store: memory.NewStore(), ids: order.NewIDMaker(8000), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	ledger, log := stock.New(rdb), slog.New(slog.DiscardHandler)
	loader := reconcile.NewLoader(o.store, o.store, ledger, queuememory.NewQueue(), log)
	o.service = admin.New(admin.Options{
		Operations: o.store, Sales: o.store, Names: o.store, AuditLog: o.store, Orders: o.store, Search: o.store, DeadLetters: o.store, Payments: o.store, Reports: o.store,
		Ledger: ledger, Entries: ledger, Loader: loader, Tail: reconcile.NewTail(o.store, ledger), Log: log,
	})
	o.p = &process{stdin: strings.NewReader(""), stdout: o.stdout, stderr: o.stderr}
	return o
}

// sale creates a sale and opens it.
func (o *office) sale(external string) order.Sale {
	o.t.Helper()
	now := time.Now()
	made, err := o.service.Create(o.t.Context(), thisCall(), order.Sale{
		Title: "Sneaker drop", ExternalID: external, PriceMinor: 9900, Currency: "CNY", Total: 10, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour), PayWithin: 10 * time.Minute,
	})
	require.NoError(o.t, err)
	return o.steer(made.Sale.ID, "open")
}

func (o *office) steer(id int64, name string) order.Sale {
	o.t.Helper()
	done, err := o.service.Act(o.t.Context(), thisCall(), id, moving(name))
	require.NoError(o.t, err)
	return done.Sale
}

// buy settles orders of that many shoppers.
func (o *office) buy(sale int64, n int) (ids []order.ID) {
	o.t.Helper()
	for i := range n {
		id, err := o.ids.Next()
		require.NoError(o.t, err)
		_, err = o.store.Settle(o.t.Context(), []order.Order{{ID: id, SaleID: sale, ShopperID: strconv.Itoa(i), Quantity: 1}})
		require.NoError(o.t, err)
		ids = append(ids, id)
	}
	return ids
}

// run runs a command's function with the service.
func (o *office) run(run func(c *cobra.Command, s *admin.Service, id int64) error, args ...string) error {
	o.t.Helper()
	c := &cobra.Command{}
	c.SetContext(o.t.Context())
	return onSale(func(fn func(*admin.Service) error) error { return fn(o.service) }, run)(c, args)
}

func TestWhatCannotBeUndoneIsRefusedWhereNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	irreversible := map[string][]string{
		"sale end": {"1"}, "sale void": {"1"}, "sale restock": {"1", "--units", "-5"}, "sale extend-pay": {"1", "--by", "30m"},
		"order cancel": {"12"}, "dead-letters discard": {"m"},
	}
	for path, args := range irreversible {
		words := append(strings.Fields(path), args...)
		for _, asked := range [][]string{nil, {"--json"}} {
			code, stdout, stderr := command(t, nil, append(words, asked...)...)
			require.Equal(t, exitUsage, code, words)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "`seckill "+path+"` cannot be undone", words)
			require.Contains(t, stderr, "add --yes", words)
		}
		_, _, stderr := command(t, nil, append(words, "--yes")...)
		require.Contains(t, stderr, "SECKILL_MYSQL_DSN", "it goes on to the servers: %v", words)
	}
	_, _, stderr := command(t, nil, "sale", "restock", "1", "--units", "5")
	require.Contains(t, stderr, "SECKILL_MYSQL_DSN", "what can be undone is done")
}

// ptyOf returns a terminal and the end that a person types at.
func ptyOf(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = person.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return person, terminal
}

// answering runs a command on a terminal, on which a person answers the first question.
func (o *office) answering(answer string, run func() error) (shown string, err error) {
	o.t.Helper()
	person, terminal := ptyOf(o.t)
	o.p.stdin, o.p.stderr = terminal, terminal
	seen := make(chan string, 1)
	go func() {
		var text bytes.Buffer
		b := make([]byte, 4096)
		for !bytes.HasSuffix(text.Bytes(), []byte("to do it: ")) {
			n, err := person.Read(b)
			if err != nil {
				break
			}
			text.Write(b[:n])
		}
		if o.meanwhile != nil {
			o.meanwhile()
		}
		_, _ = io.WriteString(person, answer+"\n")
		seen <- text.String()
	}()
	require.NoError(o.t, o.p.mayAsk(&cobra.Command{}, &sure{}), "a terminal can be asked")
	err = run()
	return <-seen, err
}

func TestOnATerminalWhatCannotBeUndoneIsShownAndAskedFor(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, c := range []struct {
		answer string
		done   bool
	}{
		{"Sneaker drop", true}, {"ID", true}, {"drop", true}, {"yes", false}, {"y", false}, {"", false}, {"sneaker drop", false}, {"Sneaker", false},
	} {
		sale := o.sale("drop")
		ids := o.buy(sale.ID, 3)
		_, err := o.store.Pay(t.Context(), order.Payment{EventID: ids[0].String(), OrderID: ids[0], AmountMinor: 9900, Currency: "CNY"})
		require.NoError(t, err)
		id := strconv.FormatInt(sale.ID, 10)
		shown, err := o.answering(strings.Replace(c.answer, "ID", id, 1), func() error {
			return o.run(func(c *cobra.Command, s *admin.Service, id int64) error {
				return o.p.steerForGood(c.Context(), s, &sure{}, id, "The sale ends now.", order.Voiding())
			}, "drop")
		})
		for _, fact := range []string{"Sneaker drop", id + " drop", "open", "¥99.00", "10: 3 sold, 7 left", "1, of 1 units: ¥99.00", "2, of 2 units: ¥198.00", "The sale ends now.", "cannot be undone"} {
			require.Contains(t, shown, fact, c.answer)
		}
		now, readErr := o.store.Sale(t.Context(), sale.ID)
		require.NoError(t, readErr)
		require.Equal(t, c.done, now.Voided, c.answer)
		if !c.done {
			require.ErrorIs(t, err, errNotConfirmed, c.answer)
			require.Equal(t, exitFailure, exitCode(err))
		} else {
			require.NoError(t, err, c.answer)
		}
		_, err = o.service.Act(t.Context(), thisCall(), sale.ID, order.Changing(order.SalePatch{ExternalID: new(string)}))
		require.NoError(t, err)
	}
}

func TestWhatWasShownIsWhatIsChanged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	sale := o.sale("drop")
	end := func() error {
		return o.run(func(c *cobra.Command, s *admin.Service, id int64) error {
			return o.p.steerForGood(c.Context(), s, &sure{}, id, "", moving("end"))
		}, "drop")
	}
	o.meanwhile = func() { o.steer(sale.ID, "pause") }
	_, err := o.answering("drop", end)
	require.ErrorIs(t, err, order.ErrStale)
	require.ErrorContains(t, err, "changed meanwhile")
	o.meanwhile = nil
	_, err = o.answering("drop", end)
	require.NoError(t, err)
}

func TestASaleWithoutExternalIDIsNotConfirmedByNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	sale := o.sale("")
	_, err := o.answering("", func() error {
		_, err := o.p.confirmSale(t.Context(), o.service, sale.ID, "")
		return err
	})
	require.ErrorIs(t, err, errNotConfirmed)
}

func TestAQuestionEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.p.stdin = blocked{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, o.p.confirm(ctx, nil, "Go on", "yes"), errNotConfirmed)
}

// blocked is a terminal at which nobody types.
type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func TestAnOrderIsCancelledWhenItsIDIsTyped(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	sale := o.sale("drop")
	id := o.buy(sale.ID, 1)[0]
	shown, err := o.answering("yes", func() error { return o.p.confirmCancel(t.Context(), o.service, id.String(), id) })
	require.ErrorIs(t, err, errNotConfirmed)
	for _, fact := range []string{id.String(), "confirmed", "¥99.00", "Sneaker drop"} {
		require.Contains(t, shown, fact)
	}
	_, err = o.answering(id.String(), func() error { return o.p.confirmCancel(t.Context(), o.service, id.String(), id) })
	require.NoError(t, err)
	require.Equal(t, exitNotFound, exitCode(o.p.confirmCancel(t.Context(), o.service, "12", 12)))
}

func TestAnUpdateShowsBeforeAndAfterAndKeepsPromises(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	sale := o.sale("drop")
	update := func(u saleUpdate, flags ...string) error {
		t.Helper()
		c := newSaleUpdate(&process{})
		require.NoError(t, c.ParseFlags(flags))
		var err error
		u.patch, err = patchOf(c.Flags())
		require.NoError(t, err)
		o.stdout.Reset()
		return o.run(func(c *cobra.Command, s *admin.Service, id int64) error { return o.p.update(c.Context(), s, id, u) }, "drop")
	}
	read := func() order.Sale {
		t.Helper()
		now, err := o.store.Sale(t.Context(), sale.ID)
		require.NoError(t, err)
		return now
	}

	require.NoError(t, update(saleUpdate{dry: true}, "--title", "Late drop"))
	require.Contains(t, o.stdout.String(), `title  "Sneaker drop" -> "Late drop"`)
	require.Contains(t, o.stdout.String(), "nothing was changed")
	require.Equal(t, []any{sale.Title, sale.Version}, []any{read().Title, read().Version})
	require.NoError(t, update(saleUpdate{}, "--title", "Late drop", "--require-permit", "true", "--require-claim", "tier=gold", "--external-id", "drop"))
	require.Equal(t, "title           \"Sneaker drop\" -> \"Late drop\"\nrequire_permit  false -> true\nrequire_claim   - -> tier=gold\n"+
		fmt.Sprintf("sale %d has version %d\n", sale.ID, sale.Version+1), o.stdout.String())
	require.Equal(t, []any{"Late drop", true, "tier=gold", sale.Version + 1}, []any{read().Title, read().RequirePermit, read().RequireClaim, read().Version})
	require.NoError(t, update(saleUpdate{}, "--title", "Late drop"))
	require.Contains(t, o.stdout.String(), "nothing changes")

	for _, promised := range [][]string{{"--price-minor", "1"}, {"--currency", "USD"}, {"--orders-per-shopper", "2"}, {"--units-per-order", "2"}, {"--pay-within", "1h"}} {
		for _, dry := range []bool{true, false} {
			require.ErrorContains(t, update(saleUpdate{dry: dry}, promised...), "cannot change any more", promised)
		}
	}
	require.ErrorIs(t, update(saleUpdate{ifVersion: 1}, "--title", "x"), order.ErrStale)
	require.Equal(t, exitUsage, exitCode(update(saleUpdate{}, "--title", "")), "out of range")
	err := update(saleUpdate{}, "--ends-at", time.Now().Add(-time.Minute).Format(time.RFC3339))
	require.Equal(t, exitUsage, exitCode(err))
	require.ErrorContains(t, err, "ends_at is past")
	require.ErrorContains(t, err, "--allow-unusual")
	require.NotContains(t, err.Error(), "starts_at", "that is so already")
	require.Equal(t, "Late drop", read().Title)
	require.NoError(t, update(saleUpdate{unusual: true}, "--ends-at", time.Now().Add(-time.Minute).Format(time.RFC3339)))

	o.p.json = true
	require.NoError(t, update(saleUpdate{dry: true}, "--sku", "0042"))
	require.Contains(t, o.stdout.String(), `"sku":"0042"`)
	require.Empty(t, read().SKU)
}

// failing is a store that cannot change one sale.
type failing struct {
	*memory.Store

	id int64
}

func (f failing) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	if op.SaleID == f.id {
		return order.Sale{}, io.ErrUnexpectedEOF
	}
	return f.Store.Operate(ctx, op)
}

func TestOfAllSalesEachOutcomeIsTold(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	good, broken := o.sale("good"), o.sale("broken")
	require.NoError(t, o.p.moveAll(t.Context(), o.service, "pause"))
	require.Equal(t, 2, strings.Count(o.stdout.String(), "paused  done"), o.stdout)

	o.service = admin.New(admin.Options{Operations: failing{o.store, broken.ID}, Sales: o.store, Ledger: noLedger{}, Loader: noLedger{}, Log: slog.New(slog.DiscardHandler)})
	for _, asJSON := range []bool{false, true} {
		o.stdout.Reset()
		o.p.json = asJSON
		err := o.p.moveAll(t.Context(), o.service, "resume")
		require.Equal(t, exitDependency, exitCode(err))
		require.ErrorContains(t, err, strconv.FormatInt(broken.ID, 10))
		if !asJSON {
			require.Regexp(t, `good +open +behind`, o.stdout)
			require.Regexp(t, `broken +paused +failed`, o.stdout)
			continue
		}
		require.Contains(t, o.stdout.String(), `"outcome":"failed","error":"resume sale `)
	}
	now, err := o.store.Sale(t.Context(), good.ID)
	require.NoError(t, err)
	require.Equal(t, order.SaleOpen, now.State)
}

// noLedger is a Redis that is down.
type noLedger struct{}

func (noLedger) Metas(context.Context, []int64) ([]stock.Meta, error) {
	return nil, io.ErrUnexpectedEOF
}
func (noLedger) Announce(context.Context, int64) error { return io.ErrUnexpectedEOF }
func (noLedger) Load(context.Context, int64) error     { return io.ErrUnexpectedEOF }

func TestAListThatIsCutSaysSo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	sale := o.sale("drop")
	ids := o.buy(sale.ID, 5)
	rows := func(run func() error) (n int, says string) {
		t.Helper()
		o.stdout.Reset()
		o.stderr.Reset()
		require.NoError(t, run())
		return strings.Count(o.stdout.String(), "\n") - 1, o.stderr.String()
	}
	list := func(q admin.OrderQuery, limit int) func() error {
		return func() error { return o.p.listOrders(t.Context(), o.service, q, limit) }
	}
	for limit, cut := range map[int]bool{4: true, 5: false, 6: false} {
		n, says := rows(list(admin.OrderQuery{SaleID: sale.ID}, limit))
		require.Equal(t, min(5, limit), n)
		require.Equal(t, cut, strings.Contains(says, "only 4 are shown, there are more: `--before "+ids[1].String()+"`"), says)
		require.Equal(t, cut, says != "")
	}
	n, says := rows(list(admin.OrderQuery{SaleID: sale.ID, Before: ids[1]}, 4))
	require.Equal(t, 1, n)
	require.Empty(t, says)
	_, err := o.store.CancelAs(t.Context(), thisOperator(), "c", ids[0])
	require.NoError(t, err)
	_, err = o.store.Settle(t.Context(), []order.Order{{ID: ids[4] + 1<<22, SaleID: sale.ID, ShopperID: "0", Quantity: 1}})
	require.NoError(t, err)
	n, says = rows(list(admin.OrderQuery{Shopper: "0"}, 1))
	require.Equal(t, 1, n)
	require.Contains(t, says, "there are more")

	for range 3 {
		require.NoError(t, o.store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: "m" + o.stderr.String() + strconv.Itoa(n), Reason: "x"}))
		n++
	}
	_, says = rows(func() error { return o.p.listDeadLetters(t.Context(), o.service, 0, 2) })
	require.Contains(t, says, "only 2 are shown, there are more: --limit 20")
	_, says = rows(func() error { return o.p.listHistory(t.Context(), o.service, order.AuditQuery{}, 1) })
	require.Contains(t, says, "only 1 are shown, there are more: `--before ")
	_, says = rows(func() error { return o.p.listHistory(t.Context(), o.service, order.AuditQuery{}, 100) })
	require.Empty(t, says)
}
