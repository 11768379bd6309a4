// Package web has the pages: one to try a sale on, and one that shows the
// description of the API. Plain files, embedded, that ask nothing of any other
// host.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed shopper docs
var files embed.FS

// policy lets a page use its own script, style and API, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// kinds are the types of our files, the same on every machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// Pages serves the page to try a sale on at /, the page that shows
// /openapi.json at /docs, and their files under /shopper/ and /docs/.
func Pages() http.Handler {
	served := map[string]http.Handler{"/": file("shopper/page.html"), "/docs": file("docs/page.html")}
	for _, name := range []string{"shopper/page.css", "shopper/page.js", "docs/page.css", "docs/page.js"} {
		served["/"+name] = file(name)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		f.ServeHTTP(w, r)
	})
}

func file(name string) http.Handler {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("web: not embedded: %v", err))
	}
	return File(kinds[path.Ext(name)], body)
}

// File serves a body that never changes while the process runs: to be kept for
// a minute, and asked for by its ETag after that.
func File(kind string, body []byte) http.Handler {
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", etag)
		h.Set("Cache-Control", "public, max-age=60")
		if strings.Contains(r.Header.Get("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // the client is gone: nothing to tell it
	})
}
