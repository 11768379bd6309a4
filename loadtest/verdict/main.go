// Command verdict ends a load test: it compares the results that k6's shoppers got with what
// the audit found, and the processes' memory and goroutines early and late in the run.
// It prints each guarantee, and exits with 4 if one was broken. `verdict watch FILE
// NAME=ADDRESS…` measures during the run.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"seckill/audit"
)

// summary is the part of k6's summary that matters here.
type summary struct {
	Metrics map[string]metric `json:"metrics"`
}

// metric has counts, by name.
type metric struct {
	Values map[string]float64 `json:"values"`
}

// count returns a counter of k6. One that was never increased is missing.
func (s summary) count(name string) int64 { return int64(s.Metrics[name].Values["count"]) }

// report is the output of `seckill audit SALE --json`.
type report struct {
	OK    bool              `json:"ok"`
	Sales []audit.SaleAudit `json:"sales"`
}

const exitBroken = 4

// files are the results of a run.
type files struct {
	summary, audit string
	samples        string // if set, memory and goroutines must not grow
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "watch" {
		if err := watchCommand(os.Args[2:]); err != nil {
			fail(err)
		}
		return
	}
	var f files
	flag.StringVar(&f.summary, "summary", "", "summary of k6")
	flag.StringVar(&f.audit, "audit", "", "output of seckill audit SALE --json")
	flag.StringVar(&f.samples, "samples", "", "samples of verdict watch; memory and goroutines must not grow in them")
	flag.Parse()
	broken, err := run(f, os.Stdout)
	if err != nil {
		fail(err)
	}
	if broken {
		os.Exit(exitBroken)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "verdict:", err)
	os.Exit(1)
}

func run(f files, out io.Writer) (broken bool, err error) {
	var s summary
	var a report
	if err := errors.Join(read(f.summary, &s), read(f.audit, &a)); err != nil {
		return false, err
	}
	if len(a.Sales) != 1 {
		return false, fmt.Errorf("%s: want the audit of one sale, got %d", f.audit, len(a.Sales))
	}
	if s.Metrics == nil {
		return false, fmt.Errorf("%s: no metrics", f.summary)
	}
	ps := promises(s, a)
	if f.samples != "" {
		samples, err := readSamples(f.samples)
		if err != nil {
			return false, err
		}
		ps = append(ps, growth(samples)...)
	}
	return write(out, ps)
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func write(out io.Writer, ps []promise) (broken bool, err error) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range ps {
		mark := "ok"
		if !p.kept {
			mark, broken = "BROKEN", true
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", p.name, mark, p.detail)
	}
	return broken, t.Flush()
}

// promise is one line of the verdict.
type promise struct {
	name   string
	kept   bool
	detail string
}

func promises(s summary, a report) []promise {
	v := a.Sales[0]
	accepted := s.count("accepted")
	ps := []promise{
		{"nothing is pending", v.Pending == 0, fmt.Sprintf("%d units", v.Pending)},
		{
			"confirmed = min(stock, accepted)", v.Confirmed == min(v.Total, accepted),
			fmt.Sprintf("%d confirmed, %d in stock, %d accepted", v.Confirmed, v.Total, accepted),
		},
		{
			"results shown = results kept", v.Confirmed == s.count("confirmed") && v.Rejected == s.count("rejected"),
			fmt.Sprintf("shoppers saw %d and %d, MySQL has %d and %d (confirmed, rejected)", s.count("confirmed"), s.count("rejected"), v.Confirmed, v.Rejected),
		},
		{
			"no unit lost or invented", v.Available+v.LiveUnits == v.Total,
			fmt.Sprintf("%d available + %d sold of %d", v.Available, v.LiveUnits, v.Total),
		},
		{"the audit is clean", a.OK && len(v.Discrepancies) == 0, fmt.Sprintf("%d discrepancies", len(v.Discrepancies))},
	}
	for _, d := range v.Discrepancies {
		ps = append(ps, promise{"discrepancy", false, d.Kind + " " + d.OrderID + " " + d.Detail})
	}
	return ps
}
