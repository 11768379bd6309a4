package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is what the processes' /metrics said at one moment. A process that did
// not answer is missing.
type sample struct {
	UnixMS    int64            `json:"unix_ms"`
	Processes map[string]gauge `json:"processes"`
}

// gauge is one process at one moment; counters since its start.
type gauge struct {
	RSS        float64 `json:"rss"` // bytes
	Goroutines float64 `json:"goroutines"`
	Requests   float64 `json:"requests"`
	Accepted   float64 `json:"accepted"`
	Refused    float64 `json:"refused"`
	Settled    float64 `json:"settled"`
}

// watchCommand is `verdict watch FILE NAME=ADDRESS…`: a line a second, until it
// is told to stop.
func watchCommand(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: verdict watch FILE NAME=ADDRESS…")
	}
	out, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	addrs := map[string]string{}
	for _, a := range args[1:] {
		name, addr, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("want NAME=ADDRESS, got %q", a)
		}
		addrs[name] = addr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return watch(ctx, out, addrs, time.Second)
}

func watch(ctx context.Context, out io.Writer, addrs map[string]string, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	enc := json.NewEncoder(out)
	for {
		if err := enc.Encode(measure(ctx, addrs)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func measure(ctx context.Context, addrs map[string]string) sample {
	s := sample{UnixMS: time.Now().UnixMilli(), Processes: map[string]gauge{}}
	for name, addr := range addrs {
		text, err := scrape(ctx, addr)
		if err != nil {
			continue
		}
		s.Processes[name] = gauge{
			RSS: sumOf(text, "process_resident_memory_bytes"), Goroutines: sumOf(text, "go_goroutines"),
			Requests: sumOf(text, "seckill_http_requests_total"), Accepted: sumOf(text, "seckill_orders_accepted_total"),
			Refused: sumOf(text, "seckill_orders_refused_total"), Settled: sumOf(text, "seckill_orders_settled_total"),
		}
	}
	return s
}

func scrape(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(text), err
}

// sumOf adds up a metric over its labels; what never happened is 0.
func sumOf(text, name string) (sum float64) {
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok && strings.IndexAny(rest, " {") == 0 {
			n, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			sum += n
		}
	}
	return sum
}

func readSamples(path string) (ss []sample, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		ss = append(ss, s)
	}
	if len(ss) < 2 {
		return nil, fmt.Errorf("%s: %d samples", path, len(ss))
	}
	return ss, nil
}
