package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// rowJSON is a row of bench.json. Rates are per second; without a baseline, ours is in
// milliseconds.
type rowJSON struct {
	Name     string             `json:"name"`
	Ours     float64            `json:"ours"`
	Baseline float64            `json:"baseline,omitempty"`
	Ratio    float64            `json:"ratio,omitempty"`
	Spread   []float64          `json:"spread"`
	Must     float64            `json:"must"`
	Goal     float64            `json:"goal"`
	Verdict  string             `json:"verdict"`
	Rounds   int                `json:"rounds"`
	Dropped  int                `json:"dropped"`
	CPU      map[string]float64 `json:"cpu_us,omitempty"`
	Note     string             `json:"note,omitempty"`
}

// result is bench.json.
type result struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Quick   bool      `json:"quick"`
	Machine machine   `json:"machine"`
	Rows    []rowJSON `json:"rows"`
	Audited int       `json:"audited_sales"`
	Orders  int64     `json:"audited_orders"`
	Failed  string    `json:"failed,omitempty"`

	Spike  *spike       `json:"spike,omitempty"`
	Memory *memory      `json:"memory,omitempty"`
	Growth []growth     `json:"growth,omitempty"`
	Allocs *allocations `json:"allocations,omitempty"`
}

// report prints the table and writes bench.json.
func (b *bench) report(failed error) error {
	r := &b.result
	r.At, r.Seconds, r.Quick, r.Machine.Foreign = b.began.UTC(), time.Since(b.began).Seconds(), b.quick, median(b.foreign)
	if failed != nil {
		r.Failed = failed.Error()
	}
	for _, row := range b.rows {
		r.Rows = append(r.Rows, row.json())
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "bench.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return r.print(os.Stdout)
}

func (r *row) json() rowJSON {
	j := rowJSON{
		Name: r.name, Ours: median(r.ours), Baseline: median(r.base), Ratio: median(r.ratios), Spread: spread(r.ratios),
		Must: r.must, Goal: r.goal, Verdict: r.verdict(), Rounds: len(r.ours), Dropped: r.dropped, Note: r.note,
	}
	if r.inMillis {
		j.Spread = spread(r.ours)
	}
	for name, us := range r.cpu {
		if j.CPU == nil {
			j.CPU = map[string]float64{}
		}
		j.CPU[name] = median(us)
	}
	return j
}

func (r *result) print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "\n%d x %s, %d MB, Linux %s, %s; fsync %.2f ms; others used %.2f cores\n", m.Cores, m.CPU, m.MemoryMB, m.Kernel, m.Go, m.FsyncMS, m.Foreign)
	for _, name := range slices.Sorted(maps.Keys(m.Modes)) {
		fmt.Fprintf(w, "%s=%s ", name, m.Modes[name])
	}
	fmt.Fprintf(w, "\nwrk's ceiling against pong: %.0f plain GET, %.0f purchases per second\n\n", m.GetPong, m.PostPong)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\tours\tbaseline\tratio\tspread\tmust\tgoal\t\trounds\t")
	for _, j := range r.Rows {
		fmt.Fprintln(t, j.line())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	printCPU(w, r.Rows)
	r.printRest(w)
	_, err := fmt.Fprintf(w, "\n%d sales audited with %d orders, %.0f s\n", r.Audited, r.Orders, r.Seconds)
	return err
}

func (j rowJSON) line() string {
	ours, base, value := "-", "-", "-"
	var low, high float64
	if j.Rounds > 0 {
		ours, value = fmt.Sprintf("%.1f ms", j.Ours), fmt.Sprintf("%.1f", j.Ours)
		low, high = j.Spread[0], j.Spread[1]
	}
	if j.Baseline > 0 {
		ours, base, value = fmt.Sprintf("%.0f/s", j.Ours), fmt.Sprintf("%.0f/s", j.Baseline), fmt.Sprintf("%.3g", j.Ratio)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%.3g-%.3g\t%g\t%g\t%s\t%d\t", j.Name, ours, base, value, low, high, j.Must, j.Goal, j.Verdict, j.Rounds)
}

// printCPU prints the CPU time of each process per request or order.
func printCPU(w io.Writer, rows []rowJSON) {
	columns := []string{"api", "consumer", "redis", "mariadb", "mysql8", "broker", "collector", "wrk", "bench"}
	fmt.Fprintln(w, "\nCPU µs per request or order")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\t"+strings.Join(columns, "\t")+"\t")
	for _, j := range rows {
		if len(j.CPU) == 0 {
			continue
		}
		fmt.Fprint(t, j.Name)
		for _, c := range columns {
			fmt.Fprintf(t, "\t%.1f", j.CPU[c])
		}
		fmt.Fprintln(t, "\t")
	}
	_ = t.Flush()
}

// printRest prints everything but the rows.
func (r *result) printRest(w io.Writer) {
	for _, j := range r.Rows {
		if j.Note != "" {
			fmt.Fprintf(w, "\n%s: %s\n", j.Name, j.Note)
		}
	}
	if s := r.Spike; s != nil {
		fmt.Fprintf(w, "\nspike: %d units sold in %.1f s, then %.0f refusals per second, p99 %.1f ms, %d errors; last result %.2f s after the last order (%.2f s allowed by the drain rate)\n",
			s.Stock, s.SoldIn, s.Refused, s.P99, s.Errors, s.LastResult, s.Allowed)
	}
	if m := r.Memory; m != nil {
		fmt.Fprintf(w, "\nmemory: Redis %.0f bytes per pending order, %.0f per settled order (%d orders)\n", m.Pending, m.Settled, m.Orders)
		for _, name := range slices.Sorted(maps.Keys(m.Full)) {
			fmt.Fprintf(w, "memory: %s %.0f MB with 256 connections, %.0f MB with 2560\n", name, m.Full[name], m.Overload[name])
		}
	}
	if a := r.Allocs; a != nil {
		fmt.Fprintf(w, "\nallocations: %d per accepted request (40 at most), %d per sold-out refusal (10 at most)\n", a.Accepted, a.SoldOut)
	}
	if len(r.Growth) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "growth\tstock\tshoppers before\tsales\torders\torders/s\tCPU µs per order\t")
	for _, g := range r.Growth {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.0f\t%.0f\t%.1f\t\n", g.What, g.Stock, g.Shoppers, g.Sales, g.Orders, g.Rate, g.CPU)
	}
	_ = t.Flush()
}
