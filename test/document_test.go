//go:build e2e

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/internal/contract"
	"seckill/internal/webhook"
)

// agreed is the API's document: every answer to a shopper of these tests, under any
// fault, must be in it.
var agreed witness

type witness struct {
	contract *contract.Contract

	mu     sync.Mutex
	broken []error
}

func (w *witness) read() (err error) {
	w.contract, err = contract.New(context.Background(), api.OpenAPI())
	return err
}

func (w *witness) transport(next http.RoundTripper) http.RoundTripper {
	return w.contract.Transport(next, func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken = append(w.broken, err)
	})
}

// verdict returns the exit code of the suite, and prints what is not in the document.
func (w *witness) verdict() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.broken) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%d answers are not in openapi.json, such as\n", len(w.broken))
	for _, err := range w.broken[:min(len(w.broken), 10)] {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

// example is a request of the document, with values of ours for those that
// only a running shop has.
type example struct {
	name, method, path string
	op                 *openapi3.Operation
	parameters         openapi3.Parameters
	body               any
}

// examples returns each request body of the document, and the requests without
// one.
func examples(t *testing.T) (all []example) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			e := example{op.OperationID, method, path, op, slices.Concat(item.Parameters, op.Parameters), nil}
			if op.RequestBody == nil {
				all = append(all, e)
				continue
			}
			media := op.RequestBody.Value.Content.Get("application/json")
			bodies := map[string]any{"": media.Example}
			for name, x := range media.Examples {
				delete(bodies, "")
				bodies[name] = x.Value.Value
			}
			for name, body := range bodies {
				require.NotNil(t, body, "%s has no example", op.OperationID)
				e.name, e.body = strings.TrimSuffix(op.OperationID+" "+name, " "), body
				all = append(all, e)
			}
		}
	}
	return all
}

// send sends an example to a shop and returns the status.
func (e example) send(t *testing.T, c *crowd, order string) int {
	t.Helper()
	path, query := e.path, ""
	headers := map[string]string{}
	for _, ref := range e.parameters {
		p := ref.Value
		value, _ := p.Example.(string)
		switch p.Name {
		case "sale", "sale_id":
			value = c.sale
		case "order":
			value = order
		}
		switch {
		case value == "":
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
		case p.In == "query":
			query = strings.TrimPrefix(query+"&"+p.Name+"="+value, "&")
		default:
			headers[http.CanonicalHeaderKey(p.Name)] = value
		}
	}
	var text []byte
	if e.body != nil {
		if fields, _ := e.body.(map[string]any); fields["order_id"] != nil {
			fields = maps.Clone(fields)
			fields["order_id"], e.body = order, fields
		}
		var err error
		text, err = json.Marshal(e.body)
		require.NoError(t, err)
	}
	if event := headers[webhook.HeaderEventID]; event != "" {
		now := time.Now()
		headers[webhook.HeaderTimestamp] = strconv.FormatInt(now.Unix(), 10)
		headers[webhook.HeaderSignature] = webhook.Sign([]byte(paymentSecret), event, now, text)
	} else {
		headers["Authorization"] = "Bearer " + c.tokens[0]
	}
	var flat []string
	for name, value := range headers {
		flat = append(flat, name, value)
	}
	res, err := send(c.client, e.method, c.shop.urls[0]+path+"?"+query, string(text), flat...)
	require.NoError(t, err)
	t.Logf("%s %s?%s %s: %d %.200s", e.method, path, query, text, res.status, res.text)
	return res.status
}

func TestTheExamplesOfTheDocumentAreGoodRequests(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	open, gated := s.sale(saleTerms{stock: 100, units: 2}), s.sale(saleTerms{stock: 10, permit: true})
	before := len(agreed.broken)
	for i, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			c := s.crowd(open, s.tokens(1+i, 1))
			if e.op.OperationID == "getPermit" {
				c.sale = gated
			}
			order := ""
			if strings.Contains(e.path, "{order}") || e.op.OperationID == "pay" {
				c.buyOne(0)
				order = c.idOf(0)
				require.Equal(t, "confirmed", c.result(0, order))
			}
			status := e.send(t, c, order)
			require.Less(t, status, 300)
			require.NotNil(t, e.op.Responses.Status(status))
		})
	}
	require.Len(t, agreed.broken, before, "an answer is not in openapi.json")
}
