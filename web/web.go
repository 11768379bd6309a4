// Package web has the pages: one to try a sale, and one that shows the description of
// the API. They are embedded files that load nothing from another host. vendor.txt lists
// the libraries among them.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed shopper docs
var files embed.FS

// policy lets a page use its own scripts, style sheets and API, and nothing else.
// Swagger UI works with it; its icons are data: URLs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// kinds are the types of our files, the same on every machine.
var kinds = map[string]string{
	"":      "text/plain; charset=utf-8", // LICENSE
	".txt":  "text/plain; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// addresses are the paths of the pages. Every other file is at its name.
var addresses = map[string]string{"shopper/page.html": "/", "docs/page.html": "/docs"}

// Pages returns what serves each path of the pages: the page to try a sale on
// at /, the page that shows /openapi.json at /docs, and their files, with the
// licences of the libraries, under /shopper/ and /docs/.
func Pages() map[string]http.Handler {
	pages := map[string]http.Handler{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		name, compressed := strings.CutSuffix(name, ".gz")
		serve := File
		if compressed {
			serve = gzipped
		}
		address, ok := addresses[name]
		if !ok {
			address = "/" + name
		}
		pages[address] = guarded(serve(kinds[path.Ext(name)], body))
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("web: not embedded: %v", err))
	}
	return pages
}

// guarded adds the security headers of a page.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// gzipped serves a body that is embedded compressed. A client that does not
// accept gzip, such as plain curl, gets it decompressed.
func gzipped(kind string, body []byte) http.Handler {
	compressed := unchanging(kind, "gzip", body)
	plain := sync.OnceValue(func() http.Handler {
		reader, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			panic(fmt.Sprintf("web: not gzip: %v", err))
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			panic(fmt.Sprintf("web: not gzip: %v", err))
		}
		return File(kind, text)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			compressed.ServeHTTP(w, r)
			return
		}
		plain().ServeHTTP(w, r)
	})
}

// File serves a body that never changes while the process runs. Clients may cache it for
// a minute, and then revalidate it by its ETag.
func File(kind string, body []byte) http.Handler { return unchanging(kind, "", body) }

func unchanging(kind, encoding string, body []byte) http.Handler {
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
		if encoding != "" {
			h.Set("Content-Encoding", encoding)
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // an error means that the client has disconnected
	})
}
