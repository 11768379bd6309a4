package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
)

func TestDevServesOperators(t *testing.T) {
	d, stop := dev(t)
	defer stop()
	ask := func(method, path string) (sale admin.SaleView) {
		req, err := http.NewRequestWithContext(t.Context(), method, d.AdminURL+adminhttp.Prefix+path, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+d.AdminToken)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
		require.NoError(t, json.Unmarshal(text, &sale))
		return sale
	}
	require.Equal(t, "paused", ask(http.MethodPost, "sales/"+d.SaleID+"/pause").State)
	require.Eventually(t, func() bool {
		resp, err := http.Get(d.URL + "/v1/sales/" + d.SaleID)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), `"state":"paused"`)
	}, time.Second, time.Millisecond, "shoppers see it")
	require.Equal(t, "paused", ask(http.MethodGet, "sales/"+d.SaleID).Redis.State)
	http.DefaultClient.CloseIdleConnections()
}
