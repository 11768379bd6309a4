package denial_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"seckill/internal/auth"
	"seckill/internal/denial"
	"seckill/internal/testenv"
)

func count(t *testing.T, reg *prometheus.Registry) (sum float64, series int) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, m := range families[0].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum, len(families[0].GetMetric())
}

func TestCausesAreBoundedAndOnlyItsOwnKindsAreCounted(t *testing.T) {
	t.Parallel()
	reg, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	shoppers := denial.NewRecorder(reg, log, denial.Shopper)
	operators := denial.NewRecorder(reg, log, denial.Operator) // of the same process
	_, series := count(t, reg)
	for _, err := range []error{
		nil, errors.New("no denial"), denial.New(denial.Operator, "role", nil),
		denial.New(denial.Shopper, "made up by a caller", nil), denial.OfToken(denial.Shopper, errors.New("of no known type")),
		denial.OfToken(denial.Shopper, auth.Refused("expired")),
	} {
		shoppers.Record(t.Context(), err)
	}
	operators.Record(t.Context(), denial.New(denial.Operator, "role", nil))
	sum, after := count(t, reg)
	require.InDelta(t, 4, sum, 0)
	require.Equal(t, series, after, "no series is made by what a caller sends")
	families, err := reg.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestTheLogIsPacedAndSaysHowMuchItLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logs := &testenv.Logs{}
		r := denial.NewRecorder(nil, slog.New(slog.NewTextHandler(logs, nil)), denial.Permit)
		for range 100 {
			r.Record(t.Context(), denial.New(denial.Permit, "forged", nil))
		}
		require.Equal(t, 10, strings.Count(logs.String(), "\n"))
		time.Sleep(time.Second)
		r.Record(t.Context(), denial.New(denial.Permit, "forged", errors.New("more of it")))
		require.Contains(t, logs.String(), `kind=permit cause=forged detail="more of it" lines_skipped=90`)
	})
}

func TestASourceIsWhatOneSubscriberHas(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"203.0.113.9": "203.0.113.9", "2001:db8:1:2:3::4": "2001:db8:1:2::/64"} {
		require.Equal(t, want, denial.Source(netip.MustParseAddr(text)))
	}
	for remote, want := range map[string]string{"203.0.113.9:80": "203.0.113.9", "[::ffff:203.0.113.9]:80": "203.0.113.9", "[fe80::1%eth0]:80": "fe80::/64", "@": "@"} {
		require.Equal(t, want, denial.SocketSource(&http.Request{RemoteAddr: remote}))
	}
}
