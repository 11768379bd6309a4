package telemetry_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"seckill/internal/telemetry/telemetrytest"
)

// errorKind is what the span of a failed step says about the error.
func errorKind(t *testing.T, err error) string {
	t.Helper()
	tracer, spans := telemetrytest.New(t, 1)
	_, span := telemetrytest.Request(t, tracer)
	span.End(err)
	s := spans.All()[0]
	require.Equal(t, codes.Error, s.Status.Code)
	require.Equal(t, s.Status.Description, s.Attrs["error.type"])
	require.NotContains(t, fmt.Sprint(s), "shopper-42")
	return s.Status.Description
}

func TestAFailedSpanTellsTheKindOfErrorAndNotItsText(t *testing.T) {
	t.Parallel()
	// As their packages declare them, see TestEveryExportedSentinelIsNamed.
	unknown, conflict, notFound := errors.New("stock: outcome unknown"), errors.New("order: conflict"), errors.New("order: not found")
	address := &net.AddrError{Err: "unknown", Addr: "shopper-42"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a wrapped sentinel":                {fmt.Errorf("reserve for shopper-42: %w: %w", unknown, address), "stock: outcome unknown"},
		"a sentinel behind another error":   {fmt.Errorf("%w: %w", address, unknown), "stock: outcome unknown"},
		"one of several errors":             {errors.Join(address, fmt.Errorf("2: %w", notFound)), "order: not found"},
		"a sentinel with a text":            {fmt.Errorf("%w: command reused", conflict), "order: conflict"},
		"a type":                            {fmt.Errorf("dial: %w", address), "*net.AddrError"},
		"a formatted text":                  {fmt.Errorf("no row of shopper-42"), fmt.Sprintf("%T", fmt.Errorf("x"))}, //nolint:perfsprint // as careless code does
		"a wrapped text":                    {fmt.Errorf("settle: %w", errors.New("no row of shopper-42")), "*errors.errorString"},
		"a text that contains a sentinel's": {errors.New("stock: busy with shopper-42"), "*errors.errorString"},
		"an error of Redis":                 {redisError("WRONGTYPE of shopper-42"), "telemetry_test.redisError"},
	} {
		require.Equal(t, c.want, errorKind(t, c.err), name)
	}
}

type redisError string

func (e redisError) Error() string { return string(e) }

func TestSentinelsOfLibrariesAreNamed(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, sql.ErrConnDone, sql.ErrTxDone, driver.ErrBadConn, mysql.ErrInvalidConn,
		redis.Nil, redis.ErrClosed, redis.ErrPoolTimeout, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
	} {
		require.Equal(t, err.Error(), errorKind(t, fmt.Errorf("of shopper-42: %w", err)))
	}
}

var sentinel = regexp.MustCompile(`(?m)^(?:\t|var )(Err\w+) += errors\.New\(("[^"]*")\)`)

func TestEveryExportedSentinelIsNamed(t *testing.T) {
	t.Parallel()
	root, found := os.DirFS("../.."), 0
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains([]string{"cmd", "loadtest", "test"}, path) || path != "." && path[0] == '.') {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, path)
		for _, m := range sentinel.FindAllStringSubmatch(string(text), -1) {
			found++
			message, err := strconv.Unquote(m[2])
			require.NoError(t, err)
			require.Equal(t, message, errorKind(t, errors.New(message)), "add %s of %s to the list", m[1], path)
		}
		return err
	}))
	require.Greater(t, found, 30)
}
