package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/order"
)

func newLimits(p *process) *cobra.Command {
	return group("limits", "Show and change the limits of running processes", newLimitsGet(p), newLimitsSet(p))
}

func newLimitsGet(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "get", Short: "Show the limits, where each comes from, and which instances do not have the newest yet", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withStores(func(s *admin.Service) error {
				l, err := s.LimitsInForce(c.Context())
				if err != nil {
					return err
				}
				return p.showLimits(s.ViewLimitsStatus(l))
			})
		},
	}
}

func newLimitsSet(p *process) *cobra.Command {
	var unset []string
	var seen uint64
	c := &cobra.Command{
		Use: "set --NAME=VALUE … | --unset NAME …", Short: "Change limits; they apply in every process within a second", Args: cobra.NoArgs,
		Long: `Change limits. They override the settings of every process, even after a restart, until they are unset. They
apply within a second, even while Redis is down. A consumer runs at most SECKILL_MYSQL_MAX_CONNS - 4 workers,
even if consumer-workers is higher.`,
		Example: `  seckill limits set --consumer-workers=4 --shopper-rps=5
  seckill limits set --unset shopper-rps`,
	}
	given := map[string]*string{}
	for _, s := range config.Settings() {
		if _, live := (config.Config{}).Limits()[s.Key]; live {
			given[s.Key] = c.Flags().String(strings.ReplaceAll(s.Key, "_", "-"), "", s.Help)
		}
	}
	c.Flags().StringSliceVar(&unset, "unset", nil, "limits that get their configured value again")
	c.Flags().Uint64Var(&seen, "if-generation", 0, "only if the limits have this generation; 0: any")
	c.RunE = func(c *cobra.Command, _ []string) error {
		values, err := limitValues(c, given, unset)
		if err != nil {
			return &usageError{err}
		}
		return p.withStores(func(s *admin.Service) error { return p.setLimits(c.Context(), s, seen, values) })
	}
	return c
}

// limitValues returns the limits to set, and with nil those to unset.
func limitValues(c *cobra.Command, given map[string]*string, unset []string) (map[string]*string, error) {
	values := map[string]*string{}
	for name, v := range given {
		if c.Flags().Changed(strings.ReplaceAll(name, "_", "-")) {
			values[name] = v
		}
	}
	for _, name := range unset {
		name = strings.ReplaceAll(name, "-", "_")
		if _, both := values[name]; both {
			return nil, fmt.Errorf("%s is set and unset at once", name)
		}
		values[name] = nil
	}
	if len(values) == 0 {
		return nil, errors.New("give a limit to change, such as --shopper-rps=5, or --unset shopper-rps")
	}
	return values, nil
}

func (p *process) setLimits(ctx context.Context, s *admin.Service, seen uint64, values map[string]*string) error {
	call := thisCall()
	call.IfVersion = seen
	l, err := s.SetLimits(ctx, call, values)
	if _, bad := errors.AsType[*order.FieldError](err); bad {
		return &usageError{fmt.Errorf("bad limits:\n%w", err)}
	}
	if err != nil {
		return err
	}
	return p.showLimits(s.ViewLimits(l))
}

func (p *process) showLimits(v admin.LimitsView) error {
	if p.json {
		return writeJSON(p.stdout, v)
	}
	t := columns(p.stdout)
	fmt.Fprintln(t, "LIMIT\tVALUE\tFROM\tCONFIGURED HERE")
	for _, name := range slices.Sorted(maps.Keys(v.Limits)) {
		l := v.Limits[name]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, l.Value, l.From, l.Configured)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "generation %d", v.Generation)
	if v.Error != "" {
		fmt.Fprintf(p.stdout, "; %s", v.Error)
	} else if v.Instances != nil {
		lag := slices.DeleteFunc(slices.Clone(v.Instances), func(i admin.GenerationView) bool { return !i.Lags })
		fmt.Fprintf(p.stdout, ", in force in %d of %d instances", len(v.Instances)-len(lag), len(v.Instances))
		for _, i := range lag {
			fmt.Fprintf(p.stdout, "\n%s lags: it has generation %d", admin.Printable(i.ID), i.Generation)
			if i.Refused != "" {
				fmt.Fprintf(p.stdout, " and refuses of the newest: %s", plain(i.Refused))
			}
		}
	}
	_, err := fmt.Fprintln(p.stdout)
	return err
}

func newInstances(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "instances", Short: "List the running processes and their load", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withStores(func(s *admin.Service) error {
				found, err := s.Instances(c.Context())
				if err != nil {
					return err
				}
				return list(p, found, admin.ViewInstance, "ID\tVERSION\tHOST\tPID\tLISTEN\tADMIN\tNODE\tLIMITS\tSTARTED\tLOAD", instanceRow)
			})
		},
	}
}

func instanceRow(i fleet.Instance) string {
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s", admin.Printable(i.ID), admin.Printable(i.Version), admin.Printable(i.Host), i.PID,
		dash(admin.Printable(i.Listen)), admin.Printable(i.AdminListen), dash(admin.FormatID(i.Worker)), i.Generation, i.StartedAt.Format(time.RFC3339), loadLine(i))
}

// loadLine describes the load of an instance for people.
func loadLine(i fleet.Instance) string {
	l := i.Load
	if i.Role == fleet.RoleConsumer {
		return fmt.Sprintf("%d workers, %.0f settled/s, result after %s (p50) and %s (p99)", l.Workers, l.Settled,
			time.Duration(l.ToResultP50*float64(time.Second)).Round(time.Millisecond), time.Duration(l.ToResultP99*float64(time.Second)).Round(time.Millisecond))
	}
	return fmt.Sprintf("%d in flight, %.0f accepted/s, %.0f refused/s, %d in the queue", l.Inflight, l.Accepted, l.Refused, l.Backlog)
}
