package contract

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answer is the response to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// undocumented are headers allowed in every response: those of the connection, and of
// CORS, which the document describes in words.
var undocumented = []string{
	"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding",
	"Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
}

// Check compares a response with the document, which does not describe the pages and
// OPTIONS.
func (c *Contract) Check(r *http.Request, a Answer) error {
	if r.Method == http.MethodOptions || r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/shopper/") || strings.HasPrefix(r.URL.Path, "/docs/") {
		return nil
	}
	documented, ok := c.find(r, a.Status)
	if !ok {
		return fmt.Errorf("%s %s: %d is not documented: %s", r.Method, r.URL.Path, a.Status, a.Body)
	}
	err := errors.Join(documented.checkHeaders(a.Header), documented.checkBody(r, a))
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") && r.Method != http.MethodHead && err == nil {
		err = c.checkProblem(a)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %d is not as documented: %w\n%v\n%s", r.Method, r.URL.Path, a.Status, err, a.Header, a.Body)
	}
	return nil
}

// find returns the documented answer and notes that it was seen. HEAD is
// answered as GET is.
func (c *Contract) find(r *http.Request, status int) (response, bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path, methods := c.match(r.URL.Path)
	statuses, ok := methods[method]
	if !ok {
		if methods != nil && status == http.StatusNotFound || methods == nil && status == http.StatusMethodNotAllowed {
			return response{}, false
		}
		documented, ok := c.general[status]
		return documented, ok
	}
	documented, ok := statuses[status]
	if ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[answerKey(method, path, status)] = true
	}
	return documented, ok
}

// match finds the template of a path, one without parameters first.
func (c *Contract) match(path string) (string, map[string]map[int]response) {
	if methods, ok := c.paths[path]; ok {
		return path, methods
	}
	parts := strings.Split(path, "/")
	for template, methods := range c.paths {
		if slices.EqualFunc(strings.Split(template, "/"), parts, func(t, part string) bool {
			return t == part || strings.HasPrefix(t, "{") && part != ""
		}) {
			return template, methods
		}
	}
	return "", nil
}

func (r response) checkHeaders(got http.Header) error {
	var errs []error
	for name, h := range r.headers {
		if h.required && len(got[name]) == 0 {
			errs = append(errs, fmt.Errorf("no %s", name))
		}
	}
	for name, values := range got {
		if slices.Contains(undocumented, name) {
			continue
		}
		h, ok := r.headers[name]
		if !ok || len(values) != 1 {
			errs = append(errs, fmt.Errorf("header %s: %q", name, values))
			continue
		}
		if err := matches(h.schema, values[0]); err != nil {
			errs = append(errs, fmt.Errorf("header %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// matches compares a header with its schema: as a number, where it is one.
func matches(s *jsonschema.Schema, value string) error {
	err := s.Validate(value)
	if n, notNumber := strconv.Atoi(value); err != nil && notNumber == nil {
		err = s.Validate(n)
	}
	return err
}

func (r response) checkBody(req *http.Request, a Answer) error {
	if len(r.content) == 0 {
		if len(a.Body) > 0 {
			return errors.New("there is a body")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	schema, ok := r.content[kind]
	if !ok {
		return fmt.Errorf("type %s", kind)
	}
	if schema == nil || req.Method == http.MethodHead {
		return nil
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.Body))
	if err != nil {
		return err
	}
	return schema.Validate(body)
}

// checkProblem compares a problem with its row of the table.
func (c *Contract) checkProblem(a Answer) error {
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.Body))
	if err != nil {
		return err
	}
	got, _ := body.(map[string]any)
	code, _ := got["code"].(string)
	p, ok := c.problems[code]
	want := p.English
	if a.Header.Get("Content-Language") == "zh-CN" {
		want = p.Chinese
	}
	switch {
	case !ok:
		return fmt.Errorf("no problem %q in the table", code)
	case p.Status != a.Status:
		return fmt.Errorf("%s has status %d in the table", code, p.Status)
	case got["type"] != "/problems/"+code:
		return fmt.Errorf("type is %v", got["type"])
	case got["title"] != want.Title:
		return fmt.Errorf("the title in the table is %q", want.Title)
	case p.RetryAfter != (a.Header.Get("Retry-After") != ""):
		return fmt.Errorf("with Retry-After in the table: %v", p.RetryAfter)
	}
	return nil
}
