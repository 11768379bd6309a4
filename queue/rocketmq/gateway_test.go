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
	"os"
	"path/filepath"
	"sync/atomic"
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

// encrypted starts a name server and a broker that refuse plaintext, and returns the
// name server's address.
func encrypted(t *testing.T, a authority, name string) string {
	t.Helper()
	dir := t.TempDir()
	a.issue(t, dir, name)
	conf := filepath.Join(dir, "tls.properties")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "tls.test.mode.enable=false\ntls.server.certPath=%[1]s/cert.pem\ntls.server.keyPath=%[1]s/key.pem\n"+
		"tls.server.need.client.auth=none\ntls.client.authServer=true\ntls.client.trustCertPath=%[1]s/ca.pem\n", dir), 0o600))
	at, _ := testenv.BrokerUnder(t, []string{"-Dtls.enable=true", "-Dtls.server.mode=enforcing", "-Dtls.config.file=" + conf})
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
