package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/cmd/seckill/internal/app"
	"seckill/internal/testenv"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// devShop is a running `seckill dev`.
type devShop struct{ app.DevStarted }

// dev runs `seckill dev` inside the test and returns what its first line says.
func dev(t *testing.T) (started devShop, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, []string{"dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--json"}, nil, strings.NewReader(""), in, io.Discard)
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &started))
	return started, func() int {
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(15 * time.Second):
			t.Error("dev does not stop")
			return -1
		}
	}
}

type devOrder struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Done   bool   `json:"done"`
}

func (d devShop) call(t *testing.T, method, path, body string) (int, devOrder) {
	t.Helper()
	status, _, text := testenv.Send(t, method, d.URL+path, body, "Authorization", "Bearer "+d.Token, "Content-Type", "application/json")
	var o devOrder
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	return status, o
}

// operate sends a request to the operators' API, which must answer 200.
func (d devShop) operate(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	status, _, text := testenv.Send(t, method, d.AdminURL+adminhttp.Prefix+path, body,
		append(headers, "Authorization", "Bearer "+d.AdminToken, "Content-Type", "application/json")...)
	require.Equal(t, http.StatusOK, status, text)
	return text
}

// Not parallel: it checks for leaked goroutines.
func TestDevSellsAndStopsCleanly(t *testing.T) {
	before := goleak.IgnoreCurrent()
	d, stop := dev(t)
	code, placed := d.call(t, http.MethodPost, "/v1/sales/"+d.SaleID+"/orders", `{"quantity":1}`)
	require.Equal(t, http.StatusAccepted, code)
	require.Equal(t, "pending", placed.Status)
	code, result := d.call(t, http.MethodGet, "/v1/orders/"+placed.ID+"?wait=5s", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "confirmed", result.Status)
	require.True(t, result.Done)
	_, again := d.call(t, http.MethodPost, "/v1/sales/"+d.SaleID+"/orders", `{"quantity":1}`)
	require.Equal(t, placed.ID, again.ID, "the purchase limit is one: a second click returns the same order")

	code, stdout, stderr := d.pay(t, placed.ID, "--amount", "9900", "--event", "evt_1")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "paid\n", stdout)
	_, result = d.call(t, http.MethodGet, "/v1/orders/"+placed.ID, "")
	require.Equal(t, "paid", result.Status)

	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, exitOK, stop())
	goleak.VerifyNone(t, before)
}

// pay runs `pay` with the secret that dev made.
func (d devShop) pay(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return command(t, []string{"SECKILL_PAYMENT_SECRETS=" + d.PaymentSecret}, append([]string{"pay", "--url", d.URL}, args...)...)
}

func TestInDevTheLimitsAndBothInstancesAreThere(t *testing.T) {
	t.Parallel()
	d, stop := dev(t)
	defer func() { require.Zero(t, stop()) }()
	d.operate(t, http.MethodPatch, "limits", `{"consumer_workers":5}`, "If-Match", `"1"`)
	require.Eventually(t, func() bool {
		limits, instances := d.operate(t, http.MethodGet, "limits", ""), d.operate(t, http.MethodGet, "instances", "")
		return strings.Count(limits, `"lags":false`) == 2 && strings.Contains(instances, `"workers":5`) && strings.Contains(instances, `"role":"api"`)
	}, 5*time.Second, 10*time.Millisecond)
}

func TestDevServesOperators(t *testing.T) {
	d, stop := dev(t)
	defer stop()
	sale := func(method, path string) (v admin.SaleView) {
		require.NoError(t, json.Unmarshal([]byte(d.operate(t, method, path, "")), &v))
		return v
	}
	require.Equal(t, "paused", sale(http.MethodPost, "sales/"+d.SaleID+"/pause").State)
	require.Eventually(t, func() bool {
		_, _, text := testenv.Send(t, http.MethodGet, d.URL+"/v1/sales/"+d.SaleID, "")
		return strings.Contains(text, `"state":"paused"`)
	}, time.Second, time.Millisecond, "shoppers see it")
	require.Equal(t, "paused", sale(http.MethodGet, "sales/"+d.SaleID).Redis.State)
	http.DefaultClient.CloseIdleConnections()
}

func TestPayStandsInForThePaymentProvider(t *testing.T) {
	d, stop := dev(t)
	defer stop()
	_, placed := d.call(t, http.MethodPost, "/v1/sales/"+d.SaleID+"/orders", `{"quantity":1}`)
	d.call(t, http.MethodGet, "/v1/orders/"+placed.ID+"?wait=5s", "")
	for _, c := range []struct {
		args       []string
		code       int
		says, errs string
	}{
		{[]string{placed.ID}, exitUsage, "", "--amount"},
		{[]string{placed.ID, "--amount", "9900", "--event", "a b"}, exitUsage, "", "event ID"},
		{[]string{placed.ID, "--amount", "9800"}, exitFailure, "", "wrong-amount"},
		{[]string{placed.ID, "--amount", "9900", "--currency", "USD"}, exitFailure, "", "wrong-amount"},
		{[]string{"123", "--amount", "9900"}, exitNotFound, "", "no such order"},
		{[]string{placed.ID, "--amount", "9900", "--event", "one"}, exitOK, "paid\n", ""},
		{[]string{placed.ID, "--amount", "9900", "--event", "one"}, exitOK, "paid\n", ""},
		{[]string{placed.ID, "--amount", "9900", "--event", "two", "--json"}, exitOK, `{"event_id":"two","outcome":"refund_required"}` + "\n", ""},
	} {
		code, stdout, stderr := d.pay(t, c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, stderr)
		require.Equal(t, c.says, stdout)
		require.Contains(t, stderr, c.errs)
	}
	d.PaymentSecret = testSecret
	code, _, stderr := d.pay(t, placed.ID, "--amount", "9900")
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "signature-invalid")
	d.URL = "http://127.0.0.1:1"
	code, _, _ = d.pay(t, placed.ID, "--amount", "9900")
	require.Equal(t, exitDependency, code)

	http.DefaultClient.CloseIdleConnections()
}

func TestDevTakesACancelledOrderBack(t *testing.T) {
	d, stop := dev(t)
	defer stop()
	_, placed := d.call(t, http.MethodPost, "/v1/sales/"+d.SaleID+"/orders", `{"quantity":1}`)
	d.call(t, http.MethodGet, "/v1/orders/"+placed.ID+"?wait=5s", "")
	for range 2 {
		code, o := d.call(t, http.MethodPost, "/v1/orders/"+placed.ID+"/cancel", "")
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "cancelled", o.Status)
	}
	code, again := d.call(t, http.MethodPost, "/v1/sales/"+d.SaleID+"/orders", `{"quantity":1}`)
	require.Equal(t, http.StatusAccepted, code, "the slot is free")
	require.NotEqual(t, placed.ID, again.ID)

	http.DefaultClient.CloseIdleConnections()
}

// command runs one command without any setting but those given.
func command(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, environ, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongWordsAndSettingsAreUsageErrorsThatSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args    []string
		environ []string
		says    string
	}{
		{[]string{"nonsense"}, nil, "seckill --help"},
		{[]string{"api", "--port", "1"}, nil, "unknown flag"},
		{[]string{"api"}, nil, "\nSECKILL_MYSQL_DSN: "},
		{[]string{"api"}, []string{"SECKILL_CONSUMER_WORKERS=0"}, "from 1 to 64"},
		{[]string{"consumer"}, []string{
			"SECKILL_CONSUMER_WORKERS=5", "SECKILL_MYSQL_DSN=x@tcp(127.0.0.1:1)/x", "SECKILL_REDIS_ADDRS=127.0.0.1:1", "SECKILL_ROCKETMQ_NAMESERVERS=127.0.0.1:1",
			"SECKILL_MESSAGE_KEYS=" + testSecret,
		}, "SECKILL_CONSUMER_WORKERS=5 needs SECKILL_MYSQL_MAX_CONNS=9 or more, not 8"},
		{[]string{"consumer"}, []string{"SECKILL_MYSQL_DSN=x@tcp(127.0.0.1:1)/x", "SECKILL_REDIS_ADDRS=127.0.0.1:1", "SECKILL_ROCKETMQ_NAMESERVERS=127.0.0.1:1"}, "\nSECKILL_MESSAGE_KEYS: "},
		{[]string{"sale", "open"}, nil, "accepts 1 arg"},
		{[]string{"sale", "open", "first drop"}, nil, `such as 1234, id:1234 or ext:drop-7, got "first drop"`},
		{[]string{"sale", "open", "id:first"}, nil, `got "id:first"`},
		{[]string{"sale", "opne", "1"}, nil, "did you mean open?"},
		{[]string{"void", "1"}, nil, "did you mean sale void?"},
		{[]string{"audit-lgo"}, nil, "did you mean audit-log?"},
		{[]string{"order", "list", "--sael", "1"}, nil, "did you mean --sale?"},
		{[]string{"sale", "update", "1", "--prize-minor", "1"}, nil, "did you mean --price-minor?"},
		{[]string{"sale", "update", "1"}, nil, "what is to change"},
		{[]string{"sale", "update", "1", "--price-minor", "99.5"}, nil, "price_minor: must be a whole number, not \"99.5\""},
		{[]string{"sale", "update", "1", "--ends-at", "2030-01-01"}, nil, "ends_at: must be a time such as"},
		{[]string{"sale", "report", "1", "--raw"}, nil, "--csv"},
		{[]string{"sale", "resume"}, nil, "or --all"},
		{[]string{"sale", "resume", "1", "--all"}, nil, "or --all"},
		{[]string{"token", "--operator", "alice", "--role", "oprator"}, []string{"SECKILL_ADMIN_JWT_SECRETS=" + testSecret}, "did you mean operator?"},
		{[]string{"sale", "create"}, nil, "-f"},
		{[]string{"sale", "create", "-f", "/nowhere"}, nil, "/nowhere"},
		{[]string{"token"}, []string{"SECKILL_JWT_SECRETS=" + testSecret}, "--shopper"},
		{[]string{"token", "--shopper", "42"}, []string{"SECKILL_JWT_SECRETS=short"}, "at least 32 bytes"},
		{[]string{"token", "--operator", "alice", "--role", "root"}, []string{"SECKILL_ADMIN_JWT_SECRETS=" + testSecret}, "--role"},
		{[]string{"token", "--operator", "alice", "--valid", "48h"}, []string{"SECKILL_ADMIN_JWT_SECRETS=" + testSecret}, "at most 24h"},
		{[]string{"pay", "1", "--amount", "1"}, nil, "\nSECKILL_PAYMENT_SECRETS: "},
		{[]string{"pay", "1", "--amount", "1"}, []string{"SECKILL_PAYMENT_SECRETS=short"}, "at least 32 bytes"},
		{[]string{"pay", "1", "--amount", "1"}, []string{"SECKILL_PAYMENT_SECRETS=whsec_short!"}, "base64"},
		{[]string{"token", "--shopper", "a b"}, []string{"SECKILL_JWT_SECRETS=" + testSecret}, "printable ASCII"},
	} {
		code, stdout, stderr := command(t, c.environ, c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, stderr, c.says, c.args)
		require.Empty(t, stdout, c.args)
	}
}

func TestAnAbsentServerHasAnExitCodeOfItsOwn(t *testing.T) {
	t.Parallel()
	environ := []string{"SECKILL_MYSQL_DSN=x:y@tcp(127.0.0.1:1)/z", "SECKILL_REDIS_ADDRS=127.0.0.1:1", "SECKILL_ROCKETMQ_NAMESERVERS=127.0.0.1:1"}
	code, _, stderr := command(t, environ, "sale", "list")
	require.Equal(t, exitDependency, code)
	require.Contains(t, stderr, "mysql: ")
	code, stdout, _ := command(t, environ, "doctor", "--json")
	require.Equal(t, exitDependency, code)
	require.Contains(t, stdout, `"ok":false`)
	for _, unread := range []string{"instances", "limits in force", "sales of the instances"} {
		require.Contains(t, stdout, `{"name":"`+unread+`","ok":false`)
	}
}

func TestTokensAreOneALine(t *testing.T) {
	t.Parallel()
	code, stdout, _ := command(t, []string{"SECKILL_JWT_SECRETS=" + testSecret}, "token", "--shoppers", "3", "--first", "7")
	require.Equal(t, exitOK, code)
	require.Len(t, strings.Fields(stdout), 3)
}
