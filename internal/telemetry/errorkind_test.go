package telemetry_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"seckill/internal/telemetry/telemetrytest"
)

// told is what the span of something that failed so has of the error.
func told(t *testing.T, err error) string {
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
	// As their packages declare them, see TestSentinelsOfOurOwnAreNamed.
	unknown, conflict, notFound := errors.New("stock: outcome unknown"), errors.New("order: conflict"), errors.New("order: not found")
	address := &net.AddrError{Err: "unknown", Addr: "shopper-42"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a sentinel that is wrapped":       {fmt.Errorf("reserve for shopper-42: %w: %w", unknown, address), "stock: outcome unknown"},
		"a sentinel that another one has":  {fmt.Errorf("%w: %w", address, unknown), "stock: outcome unknown"},
		"of several":                       {errors.Join(address, fmt.Errorf("2: %w", notFound)), "order: not found"},
		"a sentinel of two":                {fmt.Errorf("%w: command reused", conflict), "order: conflict"},
		"a type":                           {fmt.Errorf("dial: %w", address), "*net.AddrError"},
		"a text that was made on the way":  {fmt.Errorf("no row of shopper-42"), fmt.Sprintf("%T", fmt.Errorf("x"))}, //nolint:perfsprint // as careless code does
		"a text that is wrapped":           {fmt.Errorf("settle: %w", errors.New("no row of shopper-42")), "*errors.errorString"},
		"a text with a sentinel's as part": {errors.New("stock: busy with shopper-42"), "*errors.errorString"},
		"what Redis says":                  {redisError("WRONGTYPE of shopper-42"), "telemetry_test.redisError"},
	} {
		require.Equal(t, c.want, told(t, c.err), name)
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
		require.Equal(t, err.Error(), told(t, fmt.Errorf("of shopper-42: %w", err)))
	}
}

// Whoever adds a sentinel where spans end adds it to the list, too.
func TestSentinelsOfOurOwnAreNamed(t *testing.T) {
	t.Parallel()
	found := 0
	for _, dir := range []string{"api", "internal/auth", "consumer", "order", "order/mysql", "order/lookup", "queue", "queue/rocketmq", "stock", "internal/breaker", "internal/failpoint"} {
		for name, text := range sentinelsOf(t, filepath.Join("../..", dir)) {
			found++
			require.Equal(t, text, told(t, errors.New(text)), "%s: %s", dir, name)
		}
	}
	require.Greater(t, found, 25)
}

// sentinelsOf returns the exported sentinels that the files of a package
// declare, with their texts.
func sentinelsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	require.NoError(t, err)
	found := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 || !strings.HasPrefix(v.Names[0].Name, "Err") {
				return true
			}
			if text, ok := newError(v.Values[0]); ok {
				found[v.Names[0].Name] = text
			}
			return true
		})
	}
	return found
}

// newError is the text of errors.New.
func newError(e ast.Expr) (string, bool) {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
