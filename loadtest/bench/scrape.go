package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// get reads a page of one of our own processes.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
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
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return string(text), err
}

// metric adds up the samples of /metrics with one of the names, or whose line
// begins so when it goes into the labels; what never happened is not there.
func metric(ctx context.Context, admin string, prefixes ...string) (float64, error) {
	text, err := get(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return 0, err
	}
	return sumOf(text, prefixes...), nil
}

func sumOf(text string, prefixes ...string) (sum float64) {
	for line := range strings.SplitSeq(text, "\n") {
		for _, p := range prefixes {
			if rest, ok := strings.CutPrefix(line, p); ok && (strings.Contains(p, "{") || strings.IndexAny(rest, " {") == 0) {
				n, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				sum += n
			}
		}
	}
	return sum
}

// The counters that are read. Replays are not among the accepted.
const (
	acceptedTotal = "seckill_orders_accepted_total"
	soldOutTotal  = `seckill_orders_refused_total{reason="sold-out"}`
	refusedTotal  = "seckill_orders_refused_total"
	settledTotal  = "seckill_orders_settled_total"
	serverErrors  = `seckill_http_requests_total{code="5`
	inflight      = "seckill_http_inflight_requests"
)
