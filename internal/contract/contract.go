// Package contract compares responses with the OpenAPI 3.1 document, for tests. It is
// stricter than the document is for clients: it allows no undocumented header or field.
package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Contract is a document with compiled schemas, and which of its responses have been
// seen.
type Contract struct {
	paths    map[string]map[string]map[int]response // template, method, status
	general  map[int]response                       // of paths and methods that are not documented
	problems map[string]problem

	mu   sync.Mutex
	seen map[string]bool
}

// response is a documented answer.
type response struct {
	headers map[string]header
	content map[string]*jsonschema.Schema // nil: any text
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// problem is a row of x-problems, the document's table of problems.
type problem struct {
	Code       string `json:"code"`
	Status     int    `json:"status"`
	RetryAfter bool   `json:"retry_after"`
	English    texts  `json:"en"`
	Chinese    texts  `json:"zh-CN"`
}

type texts struct {
	Title string `json:"title"`
}

// general are the components that apply to all paths.
var general = map[int]string{
	http.StatusNotFound: "NotFound", http.StatusMethodNotAllowed: "MethodNotAllowed", http.StatusRequestEntityTooLarge: "TooLarge",
	http.StatusTooManyRequests: "RateLimited",
}

// New reads a document. The error says what is wrong with it; examples that do
// not match their schemas are.
func New(ctx context.Context, document []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	if err := doc.Validate(ctx); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	var more struct {
		Problems []problem `json:"x-problems"`
	}
	if err := json.Unmarshal(document, &more); err != nil {
		return nil, fmt.Errorf("contract: x-problems: %w", err)
	}
	c := &Contract{problems: map[string]problem{}, seen: map[string]bool{}}
	for _, p := range more.Problems {
		c.problems[p.Code] = p
	}
	b, err := newBuilder(document)
	if err != nil {
		return nil, err
	}
	c.paths, c.general = b.paths(doc), b.general(doc)
	return c, b.err
}

// Unseen lists the documented answers that were never seen, sorted.
func (c *Contract) Unseen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var unseen []string
	for path, methods := range c.paths {
		for method, statuses := range methods {
			for status := range statuses {
				if key := answerKey(method, path, status); !c.seen[key] {
					unseen = append(unseen, key)
				}
			}
		}
	}
	slices.Sort(unseen)
	return unseen
}

func answerKey(method, path string, status int) string {
	return method + " " + path + " " + strconv.Itoa(status)
}

// builder compiles the schemas of a document where they stand in it.
type builder struct {
	compiler *jsonschema.Compiler
	err      error // the first
}

const resource = "file:///openapi.json"

func newBuilder(document []byte) (*builder, error) {
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	seal(tree)
	b := &builder{compiler: jsonschema.NewCompiler()}
	b.compiler.DefaultDraft(jsonschema.Draft2020)
	b.compiler.AssertFormat()
	if err := b.compiler.AddResource(resource, tree); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return b, nil
}

// seal forbids additional properties in every object that does not allow them.
// Conditions stay as they are: they describe a part of an object.
func seal(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, lists := node["properties"]
		_, says := node["additionalProperties"]
		if node["type"] == "object" && lists && !says {
			node["additionalProperties"] = false
		}
		for key, child := range node {
			if !slices.Contains([]string{"if", "then", "else", "example", "examples"}, key) {
				seal(child)
			}
		}
	case []any:
		for _, child := range node {
			seal(child)
		}
	}
}

func (b *builder) paths(doc *openapi3.T) map[string]map[string]map[int]response {
	paths := map[string]map[string]map[int]response{}
	for path, item := range doc.Paths.Map() {
		paths[path] = map[string]map[int]response{}
		for method, op := range item.Operations() {
			at := pointer("#", "paths", path, strings.ToLower(method), "responses")
			statuses := map[int]response{}
			for status, r := range op.Responses.Map() {
				n, err := strconv.Atoi(status)
				if err != nil {
					b.fail(fmt.Errorf("contract: %s %s: %q is no status", method, path, status))
				}
				statuses[n] = b.response(r, pointer(at, status))
			}
			paths[path][method] = statuses
		}
	}
	return paths
}

func (b *builder) general(doc *openapi3.T) map[int]response {
	rs := map[int]response{}
	for status, name := range general {
		r, ok := doc.Components.Responses[name]
		if !ok {
			b.fail(fmt.Errorf("contract: no response %s among the components", name))
			continue
		}
		rs[status] = b.response(r, pointer("#", "components", "responses", name))
	}
	return rs
}

func (b *builder) response(ref *openapi3.ResponseRef, at string) response {
	if ref.Ref != "" {
		at = ref.Ref
	}
	r := response{headers: map[string]header{}, content: map[string]*jsonschema.Schema{}}
	for name, h := range ref.Value.Headers {
		there := pointer(at, "headers", name)
		if h.Ref != "" {
			there = h.Ref
		}
		r.headers[http.CanonicalHeaderKey(name)] = header{h.Value.Required, b.schema(pointer(there, "schema"))}
	}
	for kind := range maps.Keys(ref.Value.Content) {
		r.content[kind] = nil
		if strings.HasSuffix(kind, "json") {
			r.content[kind] = b.schema(pointer(at, "content", kind, "schema"))
		}
	}
	return r
}

func (b *builder) schema(at string) *jsonschema.Schema {
	s, err := b.compiler.Compile(resource + at)
	if err != nil {
		b.fail(fmt.Errorf("contract: %w", err))
	}
	return s
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// pointer appends keys to a JSON Pointer in a URL.
func pointer(at string, keys ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	steps := []string{at}
	for _, key := range keys {
		steps = append(steps, escape.Replace(key))
	}
	return strings.Join(steps, "/")
}
