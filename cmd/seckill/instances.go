package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/order/mysql"
	"seckill/stock"
)

func newInstances(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "instances", Short: "List the processes that live, and what each has to do", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withFleet(func(s *admin.Service) error {
				found, err := s.Instances(c.Context())
				if err != nil {
					return err
				}
				return p.listInstances(found)
			})
		},
	}
}

func (p *process) listInstances(found []fleet.Instance) error {
	if p.json {
		views := make([]admin.InstanceView, len(found))
		for i, f := range found {
			views[i] = admin.ViewInstance(f)
		}
		return writeJSON(p.stdout, views)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tVERSION\tHOST\tPID\tSHOPPERS\tADMIN\tWORKER\tLIMITS\tSTARTED\tLOAD")
	for _, i := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\n", admin.Printable(i.ID), admin.Printable(i.Version), admin.Printable(i.Host), i.PID,
			dash(admin.Printable(i.Listen)), admin.Printable(i.AdminListen), worker(i.Worker), i.Generation, i.StartedAt.Format(time.RFC3339), loadLine(i))
	}
	return t.Flush()
}

func worker(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// loadLine is what an instance has to do, for people.
func loadLine(i fleet.Instance) string {
	l := i.Load
	if i.Role == fleet.RoleConsumer {
		return fmt.Sprintf("%d workers, %.0f settled/s, result after %s (p50) and %s (p99)", l.Workers, l.Settled,
			time.Duration(l.ToResultP50*float64(time.Second)).Round(time.Millisecond), time.Duration(l.ToResultP99*float64(time.Second)).Round(time.Millisecond))
	}
	return fmt.Sprintf("%d under way, %.0f accepted/s, %.0f refused/s, %d in the queue", l.Inflight, l.Accepted, l.Refused, l.Backlog)
}

// withFleet runs a command on MySQL and Redis.
func (p *process) withFleet(fn func(*admin.Service) error) error {
	cfg, err := p.settings("mysql_dsn", "redis_addrs")
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "warn", "text"
	db, err := openDB(cfg.MySQL)
	if err != nil {
		return err
	}
	defer db.Close()
	rdb, err := openRedis(cfg.Redis)
	if err != nil {
		return err
	}
	defer rdb.Close()
	log := p.logger(cfg)
	store := mysql.NewStore(db, log)
	return fn(admin.New(admin.Options{
		Sales: store, Ledger: stock.New(rdb), Limits: store, LimitRules: admin.LimitRules{Configured: cfg.Limits(), Parse: config.ParseLimit},
		Fleet: newFleet(cfg, rdb), Log: log,
	}))
}
