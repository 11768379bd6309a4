// Package web has the page on which a shopper can try a sale: plain files,
// embedded, that ask nothing of any other host.
package web

import (
	"embed"
	"net/http"
)

//go:embed shopper
var files embed.FS

// policy lets the page use its own script, style and API, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Shopper serves the page at / and its files at /shopper/.
func Shopper() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if r.URL.Path == "/" {
			http.ServeFileFS(w, r, files, "shopper/page.html")
			return
		}
		serve.ServeHTTP(w, r)
	})
}
