//go:build e2e

package test

import (
	"bufio"
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/order"
)

// rejections puts orders of a sale into the queue that no API let through.
func (s *shop) rejections(sale string, n int) {
	s.t.Helper()
	p := s.publisher()
	for _, o := range s.unsent(sale, "too-late-", n) {
		s.publish(p, o)
	}
}

// Two sales: one is bought out while a consumer is killed and the broker too;
// of the other's orders a third is paid, a third cancelled and a third expires.
// Another program hears of it all, and knows what MySQL knows.
func TestWhoHearsTheOrderEventsKnowsWhatMySQLKnows(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 2, 2)
	e := s.listen()
	const stock, small = 2000, 90
	bought, paid := s.sale(saleTerms{stock: stock}), s.sale(saleTerms{stock: small, payWithin: 6 * time.Second})
	c, p := s.crowd(bought, s.tokens(1, stock+200)), s.crowd(paid, s.tokens(1, small))
	each(small, 20, func(i int) {
		p.buyOne(i)
		id := p.idOf(i)
		if p.result(i, id) != "confirmed" {
			t.Errorf("order %s is not confirmed", id)
		}
		switch i % 3 {
		case 0:
			if got := p.pay(id, "pay-"+id, 9900); got != "paid" {
				t.Errorf("order %s: %s", id, got)
			}
		case 1:
			if got := p.cancel(i, id); got != "cancelled" {
				t.Errorf("order %s: %s", id, got)
			}
		}
	})
	underLoad(c, 0.3, func() {
		s.consumers[0].kill()
		on.kill(t, "broker")
		time.Sleep(2 * time.Second)
		on.up(t)
		s.consumers[0].start()
		s.consumers[1].kill()
		s.consumers[1].start()
	})
	c.prove(t, stock)
	s.rejections(bought, 100) // everything is sold, and Redis has not heard of them
	require.Eventually(t, func() bool {
		return p.ordersThat(t, "cancelled") == small/3*2
	}, 60*time.Second, 100*time.Millisecond, "what is not paid expires")
	require.Eventually(t, func() bool {
		return c.ordersThat(t, "rejected") >= 100
	}, 150*time.Second, 100*time.Millisecond, "a consumer that was killed as it joined keeps its queues for up to 105 s (docs/reliability.md)")
	e.awaitAll(t, 60*time.Second, bought, paid)
	require.Len(t, e.kinds(), 4)
	s.proveTail(t, e)
}

// kinds counts the orders by what they are known as.
func (e *eventConsumer) kinds() map[order.Status]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	kinds := map[order.Status]int{}
	for _, ev := range e.reader.Last {
		kinds[ev.Data.Status]++
	}
	return kinds
}

// proveTail reads the topic with the command until it showed each event that the
// eventConsumer knows: those of an order for the first time in the order of their sequence.
// How many come again is nobody's promise: a redelivery counts for the eventConsumer alone,
// and the last repeats may arrive after the last event.
func (s *shop) proveTail(t *testing.T, e *eventConsumer) {
	t.Helper()
	e.mu.Lock()
	bodies := maps.Clone(e.reader.Bodies)
	e.mu.Unlock()
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, binary, "events", "tail", "--json", "--from-start")
	cmd.Env = s.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	seen, last := map[string]bool{}, map[string]uint64{}
	for lines := bufio.NewScanner(out); len(seen) < len(bodies) && lines.Scan(); {
		ev, err := event.Parse(lines.Bytes())
		require.NoError(t, err)
		require.Equal(t, bodies[ev.ID], lines.Text())
		require.False(t, !seen[ev.ID] && ev.Data.Sequence < last[ev.Subject], "%s comes first after #%d", ev.ID, last[ev.Subject])
		seen[ev.ID], last[ev.Subject] = true, max(last[ev.Subject], ev.Data.Sequence)
	}
	stop()
	_ = cmd.Wait() // killed
	require.Len(t, seen, len(bodies), "events in the topic: %s", &errs)
}

func TestEventsThatWereSwitchedOffLeaveWhenTheyAreOnAgain(t *testing.T) {
	s := newShop(t, beside(t), 1, 0)
	e := s.listen()
	quiet := startProcess(t, append([]string{"SECKILL_EVENTS=false"}, s.env...), "consumer")
	c := s.newSale(saleTerms{stock: 50}, 60)
	c.buy(10)
	c.await(t, 30*time.Second)
	require.Empty(t, e.reader.Bodies)
	quiet.terminate(20 * time.Second)
	s.consumers = append(s.consumers, startProcess(t, s.env, "consumer"))
	e.awaitAll(t, 30*time.Second, c.sale)
	require.Len(t, e.reader.Bodies, 50)
	require.Zero(t, e.repeated)
}

func TestTailShowsEventsOfOneSaleAsTheyLeave(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	one, other := s.sale(saleTerms{stock: 5}), s.sale(saleTerms{stock: 5})
	cmd := exec.CommandContext(t.Context(), binary, "events", "tail", "--sale", one, "--limit", "3")
	cmd.Env = s.env
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	time.Sleep(time.Second) // it begins at the end of the topic
	s.crowd(other, s.tokens(1, 3)).buy(1)
	s.crowd(one, s.tokens(1, 3)).buy(1)
	lines := bufio.NewScanner(out)
	n := 0
	for ; lines.Scan(); n++ {
		require.Contains(t, lines.Text(), "  confirmed  order ")
		require.Contains(t, lines.Text(), "  sale "+one+"  #")
		require.Contains(t, lines.Text(), "  ¥99.00 (9900")
	}
	require.NoError(t, cmd.Wait())
	require.Equal(t, 3, n)
}

// documented builds the consumer that docs/events.md shows.
func documented(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	_, code, ok := strings.Cut(string(doc), "```go\n")
	require.True(t, ok)
	code, _, ok = strings.Cut(code, "```\n")
	require.True(t, ok)
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "fulfilment")
	require.NoError(t, os.WriteFile(source, []byte(strings.ReplaceAll(code, `"SHOP_FULFILMENT"`, strconv.Quote("SHOP_"+strconv.FormatInt(time.Now().UnixNano(), 10)))), 0o600))
	out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

func TestTheConsumerOfTheDocumentKnowsWhatMySQLKnows(t *testing.T) {
	s := newShop(t, beside(t), 1, 2)
	doc, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(doc), "```sql\n")
	table, _, _ = strings.Cut(table, ";")
	_, err = s.db.Exec(table)
	require.NoError(t, err)
	shop := exec.CommandContext(t.Context(), documented(t))
	shop.Env = []string{
		"SHOP_DSN=" + s.setting("SECKILL_MYSQL_DSN"), "NAMESRV=" + s.setting("SECKILL_ROCKETMQ_NAMESERVERS"),
		"TOPIC=" + s.setting("SECKILL_ROCKETMQ_EVENT_TOPIC"), "HOME=" + t.TempDir(),
	}
	require.NoError(t, shop.Start())
	t.Cleanup(func() { _, _ = shop.Process.Kill(), shop.Wait() })

	c := s.newSale(saleTerms{stock: 600}, 600)
	underLoad(c, 0.3, s.consumers[0].kill)
	c.await(t, 60*time.Second)
	each(len(c.tokens), 50, func(i int) {
		id := c.idOf(i)
		switch i % 4 {
		case 0:
			c.pay(id, "pay-"+id, 9900)
		case 1:
			c.cancel(i, id)
		}
	})
	kinds := func(where string) int {
		return c.count(t, `SELECT COUNT(*) FROM orders o JOIN shop_orders s ON s.order_id = o.id WHERE o.sale_id = ? AND s.status = o.status
			AND s.amount_minor = o.quantity * o.unit_price`+where)
	}
	require.Eventually(t, func() bool { return kinds("") == 600 }, 60*time.Second, 200*time.Millisecond)
	require.Equal(t, []int{150, 150, 300}, []int{kinds(` AND o.status = 'paid'`), kinds(` AND o.status = 'cancelled'`), kinds(` AND o.status = 'confirmed'`)})
	require.NoError(t, shop.Process.Signal(os.Interrupt))
}
