// Package otlptest is a collector that keeps the spans it gets, for tests.
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes OTLP over HTTP at URL.
type Collector struct {
	*httptest.Server

	mu    sync.Mutex
	paths []string
	spans []Span
}

// Span is one that came, in hex and in text.
type Span struct {
	Resource  map[string]string // of who sent it
	Name      string
	Trace, ID string
	Parent    string // empty for the first of a trace
	Links     []string
	Attrs     map[string]string
	Failed    bool
}

// New starts a Collector, until the end of the test.
func New(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			tb.Error(err)
		}
	}))
	tb.Cleanup(c.Close)
	return c
}

func (c *Collector) take(r *http.Request) error {
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	var d tracepb.TracesData // on the wire what ExportTraceServiceRequest is
	if err := proto.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = append(c.paths, r.URL.Path)
	for _, of := range d.GetResourceSpans() {
		resource := texts(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(resource, s))
			}
		}
	}
	return nil
}

func spanOf(resource map[string]string, s *tracepb.Span) Span {
	span := Span{
		Resource: resource, Name: s.GetName(), Attrs: texts(s.GetAttributes()),
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(l.GetSpanId()))
	}
	return span
}

func texts(kvs []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range kvs {
		all[kv.GetKey()] = kv.GetValue().GetStringValue()
		if _, isInt := kv.GetValue().GetValue().(*commonpb.AnyValue_IntValue); isInt {
			all[kv.GetKey()] = strconv.FormatInt(kv.GetValue().GetIntValue(), 10)
		}
	}
	return all
}

// Paths returns where the requests went.
func (c *Collector) Paths() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.paths...)
}

// Spans returns what came so far.
func (c *Collector) Spans() Spans {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(Spans(nil), c.spans...)
}

// Spans are some of them.
type Spans []Span

// Where returns those of which it is true.
func (ss Spans) Where(is func(Span) bool) (some Spans) {
	for _, s := range ss {
		if is(s) {
			some = append(some, s)
		}
	}
	return some
}

// Named returns those with this name.
func (ss Spans) Named(name string) Spans {
	return ss.Where(func(s Span) bool { return s.Name == name })
}

// Trace returns those of one trace.
func (ss Spans) Trace(id string) Spans { return ss.Where(func(s Span) bool { return s.Trace == id }) }

// One returns the only one with this name.
func (ss Spans) One(tb testing.TB, name string) Span {
	tb.Helper()
	named := ss.Named(name)
	require.Len(tb, named, 1, name)
	return named[0]
}
