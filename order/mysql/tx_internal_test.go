package mysql

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestErrorsAreToldApart(t *testing.T) {
	t.Parallel()
	server := func(n uint16) error { return fmt.Errorf("insert: %w", &mysql.MySQLError{Number: n}) }
	for _, c := range []struct {
		err  error
		want errorKind
	}{
		{server(1264), badData}, // out of range
		{server(1406), badData}, // too long
		{server(1690), badData}, // below zero
		{server(3819), badData}, // CHECK, MySQL
		{server(4025), badData}, // CHECK, MariaDB
		{server(1213), transient},
		{server(1205), transient},
		{server(1062), transient},
		{server(1317), transient}, // KILL QUERY
		{server(1146), transient}, // no such table: not migrated yet
		{fmt.Errorf("commit: %w: %w", errUnknown, mysql.ErrInvalidConn), transient},
		{driver.ErrBadConn, transient},
		{context.Canceled, transient},
		{errRounds, transient},
		{errNoFit, transient},
		{fmt.Errorf("sale 1: %w", order.ErrNotFound), final},
		{order.ErrConflict, final},
		{order.ErrBadChange, final},
		{errors.Join(&order.FieldError{Field: "title"}), final},
	} {
		require.Equal(t, c.want, kindOf(c.err), "%v", c.err)
	}
}

func TestWhatFailsForTheMomentIsTriedSixTimes(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Store{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	run := func(ctx context.Context, errs ...error) (tries []int, err error) {
		err = s.retry(ctx, "test", func(try int) error {
			tries = append(tries, try)
			return errs[min(try, len(errs)-1)]
		})
		return tries, err
	}
	away := driver.ErrBadConn
	tries, err := run(t.Context(), away)
	require.ErrorIs(t, err, away)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, tries)
	require.Equal(t, 5, strings.Count(log.String(), "transaction tried again"))
	require.Contains(t, log.String(), "try=5 ")
	require.NotContains(t, log.String(), "try=6 ")
	tries, err = run(t.Context(), away, away, nil)
	require.NoError(t, err)
	require.Len(t, tries, 3)
	tries, err = run(t.Context(), order.ErrConflict)
	require.ErrorIs(t, err, order.ErrConflict)
	require.Len(t, tries, 1)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tries, err = run(gone, away)
	require.ErrorIs(t, err, away)
	require.Len(t, tries, 1)
	for try := range 8 {
		for range 100 {
			d := jitter(try)
			require.GreaterOrEqual(t, d, time.Millisecond)
			require.Less(t, d, time.Millisecond+min(64*time.Millisecond, 4*time.Millisecond<<try))
		}
	}
}

func TestAPoolHasEightConnectionsAndFifteenSecondsUnlessItIsTold(t *testing.T) {
	t.Parallel()
	for conns, want := range map[int]int{-1: 8, 0: 8, 1: 1, 30: 30} {
		db, err := OpenDB("u:p@tcp(127.0.0.1:1)/d", DBOptions{MaxConns: conns})
		require.NoError(t, err)
		require.Equal(t, want, db.Stats().MaxOpenConnections)
		require.NoError(t, db.Close())
	}
	for timeout, want := range map[time.Duration]time.Duration{0: 15 * time.Second, -1: 0, time.Second: time.Second} {
		cfg := mysql.NewConfig()
		require.NoError(t, configure(cfg, DBOptions{Timeout: timeout}))
		require.Equal(t, []time.Duration{want, want}, []time.Duration{cfg.ReadTimeout, cfg.WriteTimeout})
	}
	own, dsn := &tls.Config{ServerName: "own"}, &tls.Config{ServerName: "dsn"}
	for opt, want := range map[*tls.Config]*tls.Config{own: own, nil: dsn} {
		cfg := mysql.NewConfig()
		cfg.TLS = dsn
		require.NoError(t, configure(cfg, DBOptions{TLS: opt}))
		require.Same(t, want, cfg.TLS)
	}
	for value, want := range map[string]bool{"1048576": true, "1048575": false, "": false} {
		require.Equal(t, want, largeEnough(value), "max_allowed_packet %q", value)
	}
}
