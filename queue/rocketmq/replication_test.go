package rocketmq_test

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/queue/rocketmq"
)

// The broker of scripts/up listens for replicas on every address, and a replica reads
// all orders: a connection that does not come from loopback is closed
// (deploy/rocketmq/broker.policy).
func TestNoOtherMachineReplicatesTheBrokerOfTheTests(t *testing.T) {
	t.Parallel()
	admin, err := rocketmq.NewAdmin(rocketmq.Options{NameServers: testenv.NameServers(t), Topic: "SECKILL_ORDER", Group: "SECKILL_SETTLE"})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	host, port, err := net.SplitHostPort(admin.BrokerAddr(t.Context(), t))
	require.NoError(t, err)
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		t.Skip("this broker is not one of scripts/up")
	}
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	for _, addr := range outwardAddrs(t) {
		for _, p := range []int{n - 2, n, n + 1} {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(addr, strconv.Itoa(p)), 5*time.Second)
			if err != nil {
				continue // nothing listens there
			}
			defer func() { _ = conn.Close() }()
			require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
			_, _ = conn.Write(make([]byte, 8)) // as a replica does that has nothing yet
			read, err := conn.Read(make([]byte, 64))
			require.Zero(t, read, "%s:%d sends what it has", addr, p)
			require.Error(t, err)
			var timeout net.Error
			require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "%s:%d keeps the connection", addr, p)
		}
	}
}

// outwardAddrs returns the IPv4 addresses of this machine that others reach.
func outwardAddrs(t *testing.T) (addrs []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			addrs = append(addrs, n.IP.String())
		}
	}
	return addrs
}
