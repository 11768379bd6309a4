package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/audit"
	"seckill/internal/loop"
	"seckill/order"
)

type auditReport struct {
	OK    bool              `json:"ok"`
	Sales []audit.SaleAudit `json:"sales"`
}

// watchEvery is the pause between two rounds of `audit --watch`.
const watchEvery = 5 * time.Second

func newAudit(p *process) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "audit [SALE]",
		Short: "Compare MySQL and Redis, order by order; exit code 4 if they disagree",
		Long: `Compare MySQL and Redis: the sums of rows and counters, and every order in both. It changes nothing, and
reports only differences that last for 5 s: between a commit and its write-back the two always differ. The
consumers do the same once a minute and repair what writing the result again can repair. Exit code 4: MySQL and
Redis disagree.`,
		Args: cobra.MaximumNArgs(1),
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			if watch {
				return p.watchAudit(c.Context(), s, id)
			}
			report, err := audited(c.Context(), s, id)
			if err != nil {
				return err
			}
			return p.showAudit(report)
		}),
	}
	c.Flags().BoolVar(&watch, "watch", false, "repeat until Ctrl-C, one line a round; the exit code is that of the last round")
	return c
}

func audited(ctx context.Context, s *admin.Service, id int64) (auditReport, error) {
	audits, err := s.Audit(ctx, id)
	if errors.Is(err, order.ErrNotFound) {
		return auditReport{}, ofSale(id, err)
	}
	if err != nil {
		return auditReport{}, err
	}
	report := auditReport{OK: true, Sales: audits}
	for _, a := range audits {
		report.OK = report.OK && len(a.Discrepancies) == 0
	}
	return report, nil
}

// watchAudit audits until ctx is done. A round that fails is reported and does not
// end it.
func (p *process) watchAudit(ctx context.Context, s *admin.Service, id int64) error {
	var last error
	for {
		report, err := audited(ctx, s, id)
		switch {
		case ctx.Err() != nil:
			return last
		case errors.Is(err, order.ErrNotFound):
			return err
		case err != nil:
			fmt.Fprintln(p.stderr, "seckill:", err)
			last = &silentError{exitCode(err)}
		default:
			if last = p.writeRound(report); last == nil && !report.OK {
				last = &silentError{exitBroken}
			}
		}
		if loop.Pause(ctx, watchEvery) != nil {
			return last
		}
	}
}

// writeRound prints a round of the watch as one line.
func (p *process) writeRound(r auditReport) error {
	if p.json {
		return writeJSON(p.stdout, r)
	}
	var live, pending int64
	var bad []string
	for _, a := range r.Sales {
		live, pending = live+a.LiveUnits, pending+a.Pending
		for _, d := range a.Discrepancies {
			bad = append(bad, fmt.Sprintf("sale %d: %s", a.ID, d))
		}
	}
	verdict := "ok"
	if len(bad) > 0 {
		verdict = fmt.Sprintf("%d DISCREPANCIES: %s", len(bad), strings.Join(bad[:min(len(bad), 3)], "; "))
	}
	_, err := fmt.Fprintf(p.stdout, "%s  %d sales, %d live units, %d pending: %s\n",
		time.Now().Format(time.TimeOnly), len(r.Sales), live, pending, verdict)
	return err
}

func (p *process) showAudit(report auditReport) error {
	if p.json {
		if err := writeJSON(p.stdout, report); err != nil {
			return err
		}
	} else if err := p.writeAudit(report); err != nil {
		return err
	}
	if !report.OK {
		return &silentError{exitBroken}
	}
	return nil
}

func (p *process) writeAudit(r auditReport) error {
	t := columns(p.stdout)
	fmt.Fprintln(t, "SALE\tSTATE\tTOTAL\tAVAILABLE\tCONFIRMED\tPAID\tCANCELLED\tREJECTED\tPENDING\tDEAD LETTERS")
	for _, a := range r.Sales {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", a.ID, a.State, a.Total, a.Available, a.Confirmed, a.Paid, a.Cancelled, a.Rejected, a.Pending, a.DeadLetters)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, a := range r.Sales {
		for _, d := range a.Discrepancies {
			fmt.Fprintf(p.stdout, "sale %d: %s\n", a.ID, d)
		}
	}
	if r.OK {
		fmt.Fprintln(p.stdout, "ok: MySQL and Redis agree")
	}
	return nil
}

func newRebuild(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild SALE",
		Short: "Load a sale into Redis again from MySQL, if the audit cannot repair it",
		Long: `Remove the sale from Redis and load it again from MySQL, with all its live orders. There is no confirmation
prompt. Meanwhile, for a few seconds, purchases of this sale are refused. No order is lost: pending orders are
settled first. A Redis that was wiped needs no rebuild, the consumers load its sales without it.`,
		Args: cobra.ExactArgs(1),
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error { return p.rebuild(c.Context(), s, id) }),
	}
}

// rebuildView is the output of `rebuild --json`.
type rebuildView struct {
	ID        int64  `json:"id,string"`
	WasLoaded bool   `json:"was_loaded"`
	Settled   int    `json:"settled_first"` // orders that were pending in Redis
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	Live      int64  `json:"live_units"`
	Epoch     uint64 `json:"epoch"`
	TookMS    int64  `json:"took_ms"`
}

func (p *process) rebuild(ctx context.Context, s *admin.Service, id int64) error {
	fmt.Fprintf(p.stderr, "sale %d: removing it from Redis and loading it from MySQL; this may take some seconds\n", id)
	start := time.Now()
	done, err := s.Rebuild(ctx, thisCall(), id)
	var now admin.SaleStatus
	if err == nil {
		now, err = s.Sale(ctx, id)
		err = errors.Join(err, now.Meta.Err)
	}
	switch {
	case errors.Is(err, order.ErrNotFound), errors.Is(err, order.ErrConflict):
		return ofSale(id, err)
	case err != nil:
		return &dependencyError{"rebuild", fmt.Errorf("%w (run it again; a sale that is open or paused is loaded by the consumers too)", err)}
	}
	m := now.Meta
	view := rebuildView{id, done.WasLoaded, done.Settled, m.Total, m.Available, m.Settled, m.Epoch, time.Since(start).Milliseconds()}
	if p.json {
		return writeJSON(p.stdout, view)
	}
	was := ""
	if !view.WasLoaded {
		was = "it was not in Redis; "
	}
	_, err = fmt.Fprintf(p.stdout, "sale %d rebuilt in %d ms: %s%d pending orders settled first; %d units, %d available, %d in live orders (epoch %d)\n",
		id, view.TookMS, was, view.Settled, view.Total, view.Available, view.Live, view.Epoch)
	return err
}

func newAuditLog(p *process) *cobra.Command {
	var q order.AuditQuery
	var sale saleFlag
	var limit int
	c := &cobra.Command{
		Use: "audit-log", Short: "Show what operators changed, newest first: who, when, before and after", Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if limit < 1 || q.Before < 0 {
				return &usageError{errors.New("--limit and --before are positive numbers")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withMySQL(func(s *admin.Service) (err error) {
				if q.SaleID, err = sale.id(c.Context(), s); err != nil {
					return err
				}
				return p.listHistory(c.Context(), s, q, limit)
			})
		},
	}
	c.Flags().Var(&sale, "sale", "only changes of this sale")
	c.Flags().StringVar(&q.Actor, "actor", "", "only changes by this operator")
	c.Flags().Int64Var(&q.Before, "before", 0, "only rows before this one")
	c.Flags().IntVar(&limit, "limit", 100, "maximum number of rows")
	return c
}

func (p *process) listHistory(ctx context.Context, s *admin.Service, q order.AuditQuery, limit int) error {
	q.Limit = limit + 1
	entries, err := s.History(ctx, q)
	if err != nil {
		return err
	}
	entries = part(p, entries, limit, func(last order.AuditEntry) string {
		return fmt.Sprintf("`--before %d` shows those after them, --limit more at once", last.ID)
	})
	return list(p, entries, admin.ViewAudit, "ROW\tWHEN\tACTOR\tROLE\tACTION\tTARGET\tBEFORE\tAFTER", func(e order.AuditEntry) string {
		return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s", e.ID, e.At.Format(time.RFC3339), admin.Printable(e.By.Name), e.By.Role,
			e.Action, admin.Printable(e.Target), dash(plain(string(e.Before))), dash(plain(string(e.After))))
	})
}

// thisOperator is the user who runs this command. Anybody with the database's
// password may do what an operator may.
func thisOperator() order.Operator {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, "cli:"+name+"@"+host)
	return order.Operator{Name: plain, Role: adminhttp.Operate}
}

// thisCall is a call by the user who runs this command.
func thisCall() admin.Call { return admin.Call{By: thisOperator(), Command: admin.NewCommand()} }
