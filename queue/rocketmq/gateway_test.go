package rocketmq_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/queue"
	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	a := authority{key: key, pool: x509.NewCertPool()}
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	return a
}

// issue writes the files that RocketMQ reads: ca.pem, cert.pem, key.pem, for one name.
func (a authority) issue(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: a.cert.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
}

// freePort returns a port below which two more are free, as a broker needs them.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	addr, err := netip.ParseAddrPort(l.Addr().String())
	require.NoError(t, err)
	return int(addr.Port())
}

// encrypted starts a name server and a broker that refuse plaintext, and returns the
// name server's address.
func encrypted(t *testing.T, a authority, name string) string {
	t.Helper()
	lib, java := testenv.RocketMQ(t)
	dir := t.TempDir()
	a.issue(t, dir, name)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	conf := file("tls.properties", fmt.Sprintf("tls.test.mode.enable=false\ntls.server.certPath=%[1]s/cert.pem\ntls.server.keyPath=%[1]s/key.pem\n"+
		"tls.server.need.client.auth=none\ntls.client.authServer=true\ntls.client.trustCertPath=%[1]s/ca.pem\n", dir))
	ns, port := freePort(t), freePort(t)
	at := "127.0.0.1:" + strconv.Itoa(ns)
	run := func(role, class string, args ...string) {
		home := filepath.Join(dir, role)
		require.NoError(t, os.MkdirAll(home, 0o700))
		cmd := exec.Command(java, append([]string{
			"--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/java.nio=ALL-UNNAMED",
			"-Duser.home=" + home, "-Drmq.logback.configurationFile=rmq." + role + ".logback.xml", "-XX:+UseSerialGC", "-Xms256m", "-Xmx256m",
			"-Dtls.enable=true", "-Dtls.server.mode=enforcing", "-Dtls.config.file=" + conf, "-cp", lib + "/*", class,
		}, args...)...)
		cmd.Env = append(os.Environ(), "ROCKETMQ_HOME="+home)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		log, err := os.Create(filepath.Join(dir, role+".log"))
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = log, log
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = log.Close() })
	}
	run("namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup", "-c", file("namesrv.conf", fmt.Sprintf("listenPort=%d\nbindAddress=127.0.0.1\n", ns)))
	run("broker", "org.apache.rocketmq.broker.BrokerStartup", "-n", at, "-c", file("broker.conf", fmt.Sprintf(
		"brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort=%d\nhaListenPort=%d\nstorePathRootDir=%s/store\n"+
			"storePathCommitLog=%s/store/commitlog\nmappedFileSizeCommitLog=16777216\nmaxHashSlotNum=10000\nmaxIndexNum=40000\ndiskMaxUsedSpaceRatio=90\ntimerWheelEnable=false\nregisterNameServerPeriod=10000\n", port, freePort(t), dir, dir)))
	return at
}

func TestUnderTLSOrdersGoToServersWithTheRightCertificateOnly(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	at := encrypted(t, a, "mq.shop.example")
	o := options(t, []string{at})
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.pool, ServerName: "mq.shop.example"}
	admin, err := rocketmq.NewAdmin(o)
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	require.Eventually(t, func() bool { return admin.EnsureTopics(t.Context(), 4) == nil }, 120*time.Second, time.Second)

	p := connected(t, o, rocketmq.PublisherOptions{})
	var heard atomic.Int64
	sub, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{Handle: func(_ context.Context, ms []queue.Message) error {
		heard.Add(int64(len(ms)))
		return nil
	}})
	require.NoError(t, err)
	run(t, sub.Run)
	for i := range int64(20) {
		require.NoError(t, p.Publish(t.Context(), queuetest.Order(1+i)))
	}
	require.NoError(t, p.Probe(t.Context()))
	require.Eventually(t, func() bool { return heard.Load() >= 20 }, 30*time.Second, 10*time.Millisecond)

	for name, wrong := range map[string]*tls.Config{
		"plaintext": nil, "another authority": {MinVersion: tls.VersionTLS12, RootCAs: newAuthority(t).pool, ServerName: "mq.shop.example"},
		"another name": {MinVersion: tls.VersionTLS12, RootCAs: a.pool, ServerName: "mq.else.example"},
		"its address":  {MinVersion: tls.VersionTLS12, RootCAs: a.pool},
	} {
		o := o
		o.TLS = wrong
		admin, err := rocketmq.NewAdmin(o)
		require.NoError(t, err)
		require.Error(t, admin.Ping(t.Context()), name)
		admin.Close()
		p := publisher(t, o, rocketmq.PublisherOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		require.ErrorIs(t, p.Publish(ctx, queuetest.Order(99)), rocketmq.ErrNotStored, name)
		cancel()
		require.False(t, p.Connected(), name)
	}
}
