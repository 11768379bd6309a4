package contract_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/contract"
)

const problemSchema = `{"type": "object", "required": ["type", "title", "code"], "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "code": {"type": "string"}}}`

const document = `{
  "openapi": "3.1.0", "info": {"title": "t", "version": "1"},
  "paths": {
    "/things/{id}": {"get": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "responses": {
        "200": {
          "description": "a thing",
          "headers": {"X-Count": {"required": true, "schema": {"type": "integer"}}, "Location": {"$ref": "#/components/headers/Location"}},
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}, "example": {"size": 1}}}
        },
        "304": {"description": "none"},
        "409": {"description": "no", "headers": {"Retry-After": {"schema": {"type": "integer"}}, "Content-Language": {"schema": {"type": "string"}}}, "content": {"application/problem+json": {"schema": ` + problemSchema + `}}}
      }
    }},
    "/things/all": {"get": {"responses": {"204": {"description": "all"}}}}
  },
  "components": {
    "headers": {"Location": {"schema": {"type": "string", "pattern": "^/"}}},
    "schemas": {"Thing": {"type": "object", "required": ["size"], "properties": {"size": {"type": ["integer", "null"], "minimum": 1}}}},
    "responses": {
      "NotFound": {"description": "no"},
      "MethodNotAllowed": {"description": "no", "headers": {"Allow": {"required": true, "schema": {"type": "string"}}}},
      "TooLarge": {"description": "no"},
      "RateLimited": {"description": "no"}
    }
  },
  "x-problems": [{"code": "late", "status": 409, "retry_after": true, "en": {"title": "Late"}, "zh-CN": {"title": "晚了"}}]
}`

func TestAnswersAreHeldAgainstTheDocument(t *testing.T) {
	t.Parallel()
	c, err := contract.New(t.Context(), []byte(document))
	require.NoError(t, err)
	late := `{"type":"/problems/late","title":"Late","code":"late"}`
	tests := []struct {
		name, method, path string
		status             int
		header, body       string // header: Name: value, separated by |
		want               string // "" is as documented
	}{
		{"good", "GET", "/things/1", 200, "X-Count: 3|Location: /x", `{"size":1}`, ""},
		{"null", "GET", "/things/1", 200, "X-Count: 3", `{"size":null}`, ""},
		{"no body", "GET", "/things/1", 304, "", "", ""},
		{"the path itself, not the template", "GET", "/things/all", 204, "", "", ""},
		{"HEAD", "HEAD", "/things/1", 200, "X-Count: 3", "", ""},
		{"another path", "GET", "/nothing", 404, "", "", ""},
		{"another method", "PUT", "/things/1", 405, "Allow: GET", "", ""},
		{"a problem", "GET", "/things/1", 409, "Retry-After: 2|Content-Type: application/problem+json", late, ""},
		{"a problem in Chinese", "GET", "/things/1", 409, "Retry-After: 2|Content-Type: application/problem+json|Content-Language: zh-CN", strings.Replace(late, "Late", "晚了", 1), ""},

		{"status", "GET", "/things/1", 201, "X-Count: 3", `{"size":1}`, "201 is not documented"},
		{"not found, of a path that is there", "GET", "/things/1", 404, "", "", "404 is not documented"},
		{"405, of a path that is not", "PUT", "/nothing", 405, "Allow: GET", "", "405 is not documented"},
		{"405 without Allow", "PUT", "/things/1", 405, "", "", "no Allow"},
		{"header missing", "GET", "/things/1", 200, "", `{"size":1}`, "no X-Count"},
		{"header of another type", "GET", "/things/1", 200, "X-Count: many", `{"size":1}`, "header X-Count"},
		{"header that does not match", "GET", "/things/1", 200, "X-Count: 3|Location: x", `{"size":1}`, "header Location"},
		{"header twice", "GET", "/things/1", 200, "X-Count: 3|X-Count: 4", `{"size":1}`, "header X-Count"},
		{"header that is not documented", "GET", "/things/1", 200, "X-Count: 3|X-More: 1", `{"size":1}`, "header X-More"},
		{"type", "GET", "/things/1", 200, "X-Count: 3|Content-Type: text/plain", `{"size":1}`, "type text/plain"},
		{"no JSON", "GET", "/things/1", 200, "X-Count: 3", `{"size":`, "EOF"},
		{"value", "GET", "/things/1", 200, "X-Count: 3", `{"size":0}`, "/size"},
		{"field missing", "GET", "/things/1", 200, "X-Count: 3", `{}`, "size"},
		{"field that is not documented", "GET", "/things/1", 200, "X-Count: 3", `{"size":1,"colour":1}`, "colour"},
		{"a body where there is none", "GET", "/things/1", 304, "", "{}", "there is a body"},
		{"a problem of no table", "GET", "/things/1", 409, "Retry-After: 2|Content-Type: application/problem+json", strings.ReplaceAll(late, "late", "early"), "no problem"},
		{"another title", "GET", "/things/1", 409, "Retry-After: 2|Content-Type: application/problem+json", strings.Replace(late, "Late", "Later", 1), "title"},
		{"a title of another language", "GET", "/things/1", 409, "Retry-After: 2|Content-Type: application/problem+json|Content-Language: zh-CN", late, "title"},
		{"no Retry-After", "GET", "/things/1", 409, "Content-Type: application/problem+json", late, "Retry-After"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Content-Type": {"application/json"}}
			for line := range strings.SplitSeq(tt.header, "|") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					if name == "Content-Type" {
						h.Del(name)
					}
					h.Add(name, value)
				}
			}
			err := c.Check(httptest.NewRequest(tt.method, tt.path, http.NoBody), contract.Answer{Status: tt.status, Header: h, Body: []byte(tt.body)})
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestADocumentThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"an example of another type":  {`"example": {"size": 1}`, `"example": {"size": 0}`},
		"a reference to nothing":      {`"#/components/schemas/Thing"`, `"#/components/schemas/Things"`},
		"a parameter without its {}":  {`"name": "id"`, `"name": "di"`},
		"a schema that is none":       {`"minimum": 1`, `"minimum": "1"`},
		"no description of an answer": {`"304": {"description": "none"}`, `"304": {}`},
		"no answer for other paths":   {`"NotFound"`, `"Nowhere"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(document, change[0], change[1], 1)
			require.NotEqual(t, document, broken)
			_, err := contract.New(t.Context(), []byte(broken))
			require.Error(t, err)
		})
	}
}

func TestHandlerAndTransportReportAndPassOn(t *testing.T) {
	t.Parallel()
	c, err := contract.New(t.Context(), []byte(document))
	require.NoError(t, err)
	require.Equal(t, []string{"GET /things/all 204", "GET /things/{id} 200", "GET /things/{id} 304", "GET /things/{id} 409"}, c.Unseen())
	var inside, outside []error
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Count", "1")
		_, _ = io.WriteString(w, `{"size":0}`)
	}), func(err error) { inside = append(inside, err) }))
	client := http.Client{Transport: c.Transport(http.DefaultTransport, func(err error) { outside = append(outside, err) })}
	resp, err := client.Get(srv.URL + "/things/1")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.JSONEq(t, `{"size":0}`, string(body))
	srv.Close()
	require.Len(t, inside, 1)
	require.ErrorContains(t, inside[0], "/size")
	require.Len(t, outside, 1)
	require.Equal(t, []string{"GET /things/all 204", "GET /things/{id} 304", "GET /things/{id} 409"}, c.Unseen())
}
