package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// client is a shopper's program: it buys, and waits for the result.
type client struct {
	http   *http.Client
	url    string
	sale   string
	tokens []string
}

// newClient reads as many shoppers as may come.
func (b *bench) newClient(s *sale, most int) (*client, error) {
	c := &client{
		url: s.url, sale: s.names()[0],
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4096}},
	}
	f, err := os.Open(b.tokens + "0")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan() && len(c.tokens) < most; {
		c.tokens = append(c.tokens, lines.Text())
	}
	return c, nil
}

// buy buys as one shopper, waits for the result, and fails unless it is a
// confirmed order.
func (c *client) buy(ctx context.Context, shopper int) error {
	if shopper >= len(c.tokens) {
		return fmt.Errorf("there are only %d shoppers", len(c.tokens))
	}
	var o struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Done   bool   `json:"done"`
	}
	path := "/v1/sales/" + c.sale + "/orders"
	if err := c.call(ctx, http.MethodPost, path, `{"quantity":1}`, shopper, &o); err != nil {
		return err
	}
	for !o.Done {
		if err := c.call(ctx, http.MethodGet, "/v1/orders/"+o.ID+"?wait=20s", "", shopper, &o); err != nil {
			return err
		}
	}
	if o.Status != "confirmed" {
		return fmt.Errorf("order %s is %s", o.ID, o.Status)
	}
	return nil
}

func (c *client) call(ctx context.Context, method, path, body string, shopper int, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.tokens[shopper])
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return json.Unmarshal(text, into)
}
