// Command verdict ends a load test: it compares what k6's shoppers were told
// with what the audit found, holds the processes' memory and goroutines early
// and late in the run against each other, prints all of it, and exits with 4
// when a promise was broken. With -html it also writes a page that needs nothing
// but itself. `verdict watch FILE NAME=ADDRESS…` is what measures during the run.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// summary is the part of k6's summary that matters here.
type summary struct {
	Metrics map[string]metric `json:"metrics"`
}

// metric has counts, or times in milliseconds, by name.
type metric struct {
	Type       string             `json:"type"`
	Contains   string             `json:"contains"`
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

// told returns how often k6 counted something; what never happened is not there.
func (s summary) told(metric string) int64 { return int64(s.Metrics[metric].Values["count"]) }

// audit is the part of `seckill audit SALE --json` that matters here.
type audit struct {
	OK    bool   `json:"ok"`
	Sales []sale `json:"sales"`
}

type sale struct {
	Total         int64 `json:"total"`
	Available     int64 `json:"available"`
	LiveUnits     int64 `json:"live_units"`
	Confirmed     int64 `json:"confirmed"`
	Rejected      int64 `json:"rejected"`
	Pending       int64 `json:"pending"`
	Discrepancies []struct {
		Kind    string `json:"kind"`
		OrderID string `json:"order_id"`
		Detail  string `json:"detail"`
	} `json:"discrepancies"`
}

const exitBroken = 4

// files are what a run leaves; an empty name is not read, or not written.
type files struct {
	name, summary, audit, samples, html string
	flat                                bool // memory and goroutines must not grow
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "watch" {
		if err := watchCommand(os.Args[2:]); err != nil {
			fail(err)
		}
		return
	}
	var f files
	flag.StringVar(&f.name, "name", "load test", "of the run")
	flag.StringVar(&f.summary, "summary", "", "what k6 measured")
	flag.StringVar(&f.audit, "audit", "", "output of seckill audit SALE --json")
	flag.StringVar(&f.samples, "samples", "", "what verdict watch measured")
	flag.BoolVar(&f.flat, "flat", false, "memory and goroutines must not grow")
	flag.StringVar(&f.html, "html", "", "where to write the page")
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
	var a audit
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
	var watched []sample
	if f.samples != "" {
		if watched, err = readSamples(f.samples); err != nil {
			return false, err
		}
	}
	if f.flat {
		ps = append(ps, growth(watched)...)
	}
	if f.html != "" {
		if err := writePage(f, s, ps, watched); err != nil {
			return false, err
		}
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

func promises(s summary, a audit) []promise {
	v := a.Sales[0]
	accepted := s.told("accepted")
	ps := []promise{
		{"nothing is pending", v.Pending == 0, fmt.Sprintf("%d units", v.Pending)},
		{
			"confirmed = min(stock, accepted)", v.Confirmed == min(v.Total, accepted),
			fmt.Sprintf("%d confirmed, %d in stock, %d accepted", v.Confirmed, v.Total, accepted),
		},
		{
			"told = kept", v.Confirmed == s.told("confirmed") && v.Rejected == s.told("rejected"),
			fmt.Sprintf("%d and %d told, %d and %d rows (confirmed, rejected)", s.told("confirmed"), s.told("rejected"), v.Confirmed, v.Rejected),
		},
		{
			"no unit lost or made up", v.Available+v.LiveUnits == v.Total,
			fmt.Sprintf("%d available + %d sold of %d", v.Available, v.LiveUnits, v.Total),
		},
		{"the audit is clean", a.OK && len(v.Discrepancies) == 0, fmt.Sprintf("%d discrepancies", len(v.Discrepancies))},
	}
	for _, d := range v.Discrepancies {
		ps = append(ps, promise{"discrepancy", false, d.Kind + " " + d.OrderID + " " + d.Detail})
	}
	return ps
}
