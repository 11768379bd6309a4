package main

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

// servePong is the yardstick: the smallest program on the same framework. It
// answers what wrk sends to us, and a plain GET, with the word pong.
func servePong(addr string) error {
	var answered atomic.Int64
	pong := func(c echo.Context) error {
		answered.Add(1)
		return c.String(http.StatusOK, "pong")
	}
	e := echo.New()
	e.POST("/v1/sales/:id/orders", pong)
	e.GET("/", pong)
	e.GET("/count", func(c echo.Context) error {
		return c.String(http.StatusOK, strconv.FormatInt(answered.Load(), 10))
	})
	return (&http.Server{Addr: addr, Handler: e, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}
