package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/web"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	page, ok := web.Pages()[path]
	require.True(t, ok, path)
	page.ServeHTTP(w, r)
	return w
}

func TestLibrariesAreSentCompressedToWhoeverAcceptsIt(t *testing.T) {
	t.Parallel()
	const script = "/docs/swagger-ui/swagger-ui-bundle.js"
	compressed, plain := get(t, script, "Accept-Encoding", "gzip, br"), get(t, script)
	require.Equal(t, "gzip", compressed.Header().Get("Content-Encoding"))
	require.Equal(t, "\x1f\x8b", compressed.Body.String()[:2])
	require.Empty(t, plain.Header().Get("Content-Encoding"))
	require.Contains(t, plain.Body.String(), "SwaggerUIBundle")
	require.NotEqual(t, compressed.Header().Get("ETag"), plain.Header().Get("ETag"))
	for _, w := range []*httptest.ResponseRecorder{compressed, plain} {
		require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
	}
	again := get(t, script, "Accept-Encoding", "gzip", "If-None-Match", compressed.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())
	require.Empty(t, get(t, "/docs", "Accept-Encoding", "gzip").Header().Get("Content-Encoding"))
}

func TestEveryFileHasAType(t *testing.T) {
	t.Parallel()
	for path := range web.Pages() {
		require.NotEmpty(t, get(t, path).Header().Get("Content-Type"), path)
	}
	require.Contains(t, get(t, "/docs/swagger-ui/LICENSE").Body.String(), "Apache License")
}
