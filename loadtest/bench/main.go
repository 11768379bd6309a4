// Command bench measures this program and its baselines in turn, on one machine,
// with one load generator, and prints the ratios: they carry over to other machines,
// rates do not. After every round it audits what was sold; a broken guarantee makes
// the run fail (exit 4). scripts/bench starts the servers it needs;
// docs/performance.md explains the rows.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 4
)

// errBroken is a guarantee that does not hold.
var errBroken = errors.New("a guarantee is broken")

func main() {
	if serve := map[string]func(addr string) error{"pong": servePong, "collector": serveCollector}; len(os.Args) == 3 && serve[os.Args[1]] != nil {
		fmt.Fprintln(os.Stderr, "bench:", serve[os.Args[1]](os.Args[2]))
		os.Exit(exitFailed)
	}
	args, only := os.Args[1:], len(os.Args) > 1 && os.Args[1] == "check"
	if only {
		args = args[1:]
	}
	o, err := parse(args)
	if err != nil {
		os.Exit(exitUsage) // parse has printed it
	}
	if only {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if errors.Is(err, errBroken) {
			os.Exit(exitBroken)
		}
		os.Exit(exitFailed)
	}
}

// options are the flags.
type options struct {
	root, dir, bin, out string
	rows                map[string]bool
	rounds              int
	seconds, warm       time.Duration
	quick, noWait       bool
	profiles            string
	threads             int
}

func parse(args []string) (options, error) {
	var o options
	var rows string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.root, "root", ".", "the repository")
	f.StringVar(&o.dir, "dir", ".run/bench", "folder of the servers that scripts/up started")
	f.StringVar(&o.bin, "seckill", "bin/seckill", "the program to measure")
	f.StringVar(&o.out, "out", ".", "folder for bench.json and spike.svg")
	f.StringVar(&rows, "rows", "", "rows to measure, comma-separated; default: all, with -quick all but the longest two")
	f.IntVar(&o.rounds, "rounds", 0, "rounds (3, quick 2)")
	f.DurationVar(&o.seconds, "seconds", 0, "length of a measurement, in turns of 1s (4s, quick 2s)")
	f.BoolVar(&o.quick, "quick", false, "fewer and shorter rounds: an impression, not a result")
	f.BoolVar(&o.noWait, "no-idle-wait", false, "measure even on a busy machine, and drop no round")
	f.StringVar(&o.profiles, "cpuprofile", "", "folder for CPU and allocation profiles of the first round")
	f.IntVar(&o.threads, "threads", 2, "threads of wrk")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	rounds, length := 3, 4*time.Second
	o.warm = time.Second
	if o.quick {
		rounds, length, o.warm = 2, 2*time.Second, time.Second/2
	}
	o.rounds, o.seconds = cmp.Or(o.rounds, rounds), cmp.Or(o.seconds, length)
	for _, path := range []*string{&o.root, &o.dir, &o.bin, &o.out} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("%s: %w", *path, err)
		}
		*path = abs
	}
	var err error
	o.rows, err = selectRows(rows, o.quick)
	if o.seconds < oneTurn || o.rounds < 1 || o.threads < 1 {
		err = errors.Join(err, fmt.Errorf("-seconds is %s at least, -rounds and -threads 1", oneTurn))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return o, err
}

// run measures, and reports what was measured even if a part failed.
func run(ctx context.Context, o options) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	err = b.measure(ctx)
	b.close()
	return errors.Join(err, b.report(err))
}
