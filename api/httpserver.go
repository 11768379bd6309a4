package api

import (
	"log/slog"
	"net/http"
	"time"
)

// NewHTTPServer returns the server of the shoppers' port. Its limits are part
// of the contract: headers within 5 s and 16 KiB (net/http adds 4 KiB of its
// own), a body within 10 s, an answer within the longest poll and some.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      longestWait + 15*time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    12 << 10,
		// What net/http has to say is about clients that misbehave.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
