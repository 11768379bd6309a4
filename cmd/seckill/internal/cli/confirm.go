package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seckill/admin"
	"seckill/order"
)

// sure is the flag of a command that cannot be undone.
type sure struct{ yes bool }

// confirmed adds --yes to a command that cannot be undone, which is refused where
// nobody can be asked.
func (p *process) confirmed(c *cobra.Command) *sure {
	s := &sure{}
	c.Flags().BoolVar(&s.yes, "yes", false, "do not ask; required without a terminal, and with --json")
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if check != nil {
			if err := check(c, args); err != nil {
				return err
			}
		}
		return p.mayAsk(c, s)
	}
	return s
}

// mayAsk is a usage error unless the operator is sure, or can be asked.
func (p *process) mayAsk(c *cobra.Command, s *sure) error {
	if s.yes || !p.json && isTerminal(p.stdin) && isTerminal(p.stderr) {
		return nil
	}
	return &usageError{fmt.Errorf("`%s` cannot be undone, and there is nobody to ask: add --yes if it is intended. Nothing was changed", c.CommandPath())}
}

func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// errNotConfirmed is the operator's no.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm shows facts on stderr and asks for a word, which must be one of those.
func (p *process) confirm(ctx context.Context, facts [][2]string, question string, words ...string) error {
	onStderr := *p
	onStderr.stdout = p.stderr
	if err := onStderr.listFields(facts); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%s: ", question)
	typed := make(chan string, 1)
	go func() { // ends with the process if nobody types: reading a terminal cannot be cancelled
		line, _ := bufio.NewReader(p.stdin).ReadString('\n') // at the end of the input, what there is
		typed <- strings.TrimSpace(line)
	}()
	select {
	case word := <-typed:
		if word != "" && slices.Contains(words, word) {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(p.stderr)
	}
	return errNotConfirmed
}

// confirmSale asks whether a sale is to be changed for good. It returns the version
// that was shown: only that one may be changed.
func (p *process) confirmSale(ctx context.Context, service *admin.Service, id int64, consequence string) (uint64, error) {
	r, err := service.Report(ctx, id)
	if err != nil {
		return 0, ofSale(id, err)
	}
	now, err := service.Sale(ctx, id)
	if err != nil {
		return 0, ofSale(id, err)
	}
	s, v := r.Sale, admin.ViewReport(r)
	title := plain(s.Title)
	pending := "unknown: Redis does not respond"
	switch {
	case now.Meta.Err == nil && now.Meta.Loaded:
		pending = strconv.FormatInt(now.Meta.Pending, 10)
	case now.Meta.Err == nil:
		pending = "0: it is not in Redis"
	}
	sum := func(v admin.SumView) string { return fmt.Sprintf("%d, of %d units: %s", v.Orders, v.Units, v.Amount) }
	return s.Version, p.confirm(ctx, [][2]string{
		{"title", title},
		{"sale", v.ID + " " + v.ExternalID},
		{"state", stateOf(s)},
		{"price", money(v.PriceMinor, v.Currency)},
		{"units", fmt.Sprintf("%d: %d sold, %d left", v.Total, v.LiveUnits, v.Available)},
		{"paid orders", sum(v.Paid)},
		{"unpaid orders", sum(v.Confirmed)},
		{"pending orders", pending},
	}, consequence+"\nThis cannot be undone. Type the title or the ID of the sale to do it", title, v.ID, v.ExternalID)
}

// stateOf is a sale's state for people.
func stateOf(s order.Sale) string {
	if s.Voided {
		return string(s.State) + ", voided"
	}
	return string(s.State)
}
