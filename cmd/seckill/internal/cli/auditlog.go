package cli

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func newAuditLog(p *process) *cobra.Command {
	var q order.AuditQuery
	c := &cobra.Command{
		Use: "audit-log", Short: "Show what operators changed, newest first: who, when, before and after", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Limit < 1 || q.SaleID < 0 || q.Before < 0 {
				return &usageError{errors.New("--limit, --sale and --before are positive numbers")}
			}
			return p.withMySQL(func(s *admin.Service) error {
				entries, err := s.History(c.Context(), q)
				if err != nil {
					return err
				}
				return list(p, entries, admin.ViewAudit, "ROW\tWHEN\tACTOR\tROLE\tACTION\tTARGET\tBEFORE\tAFTER", func(e order.AuditEntry) string {
					return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s", e.ID, e.At.Format(time.RFC3339), admin.Printable(e.By.Name), e.By.Role,
						e.Action, admin.Printable(e.Target), dash(plain(string(e.Before))), dash(plain(string(e.After))))
				})
			})
		},
	}
	c.Flags().Int64Var(&q.SaleID, "sale", 0, "only changes of this sale")
	c.Flags().StringVar(&q.Actor, "actor", "", "only changes by this operator")
	c.Flags().Int64Var(&q.Before, "before", 0, "only rows before this one")
	c.Flags().IntVar(&q.Limit, "limit", 100, "maximum number of rows")
	return c
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
