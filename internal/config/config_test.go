package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

const secret = "0123456789abcdef0123456789abcdef"

func TestTheEnvironmentWinsOverTheFileAndTheFileOverTheDefaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seckill.yaml")
	require.NoError(t, os.WriteFile(path, []byte("consumer_workers: 4\nsettle_linger: 5ms\nredis_addrs: [a:1, b:2]\n"), 0o600))
	c, err := config.Load([]string{"SECKILL_CONSUMER_WORKERS=3", "SECKILL_JWT_SECRETS=" + secret + ",new=" + secret, "SECKILL_PORT=tcp://10.0.0.1:80", "PATH=/bin"}, path)
	require.NoError(t, err)
	require.Equal(t, 3, c.Consumer.Workers)
	require.Equal(t, 5*time.Millisecond, c.Consumer.Linger)
	require.Equal(t, 256, c.Consumer.Batch)
	require.Equal(t, []string{"a:1", "b:2"}, c.Redis.Addrs)
	require.Equal(t, map[string][]byte{"": []byte(secret), "new": []byte(secret)}, c.Auth.JWTSecrets)
}

func TestEveryBadValueIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{"SECKILL_CONSUMER_WORKERS=many", "SECKILL_SETTLE_LINGER=-1s", "SECKILL_LISTEN=8080", "SECKILL_JWT_SECRETS=short"}, "")
	require.Error(t, err)
	for _, name := range []string{"SECKILL_CONSUMER_WORKERS", "SECKILL_SETTLE_LINGER", "SECKILL_LISTEN", "SECKILL_JWT_SECRETS"} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "short\"", "a secret is never repeated")
}

func TestAnUnknownSettingInTheFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seckill.yaml")
	require.NoError(t, os.WriteFile(path, []byte("consumer_wokers: 4\n"), 0o600))
	_, err := config.Load(nil, path)
	require.ErrorContains(t, err, "consumer_wokers")
}

func TestASecretMayComeFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(secret+"\n"), 0o600))
	c, err := config.Load([]string{"SECKILL_ID_KEYS_FILE=" + path}, "")
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(secret)}, c.Auth.IDKeys)

	_, err = config.Load([]string{"SECKILL_ID_KEYS_FILE=" + path, "SECKILL_ID_KEYS=" + secret}, "")
	require.ErrorContains(t, err, "both set")
	_, err = config.Load([]string{"SECKILL_ID_KEYS_FILE=/nowhere"}, "")
	require.ErrorContains(t, err, "SECKILL_ID_KEYS_FILE")
}

func TestSecretsAreShownRedacted(t *testing.T) {
	t.Parallel()
	v, err := config.Values([]string{"SECKILL_MYSQL_DSN=root:hunter2@tcp(db:3306)/seckill", "SECKILL_JWT_SECRETS=" + secret}, "")
	require.NoError(t, err)
	require.Equal(t, "root:redacted@tcp(db:3306)/seckill", v["mysql_dsn"])
	require.Equal(t, "redacted", v["jwt_secrets"])
	for _, s := range v {
		require.NotContains(t, s, "hunter2")
		require.NotContains(t, s, secret)
	}
}

func TestEverySettingHasAKeyAndHelpOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		require.False(t, seen[s.Key], s.Key)
		seen[s.Key] = true
		require.NotEmpty(t, s.Help, s.Key)
		require.Equal(t, strings.ToLower(s.Key), s.Key)
	}
}

func TestPaymentSecretsAreTextOrThoseOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{"SECKILL_PAYMENT_SECRETS=" + secret + ", whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "")
	require.NoError(t, err)
	require.Len(t, c.API.PaymentSecrets, 2)
	require.Equal(t, []byte(secret), c.API.PaymentSecrets[0])
	require.Len(t, c.API.PaymentSecrets[1], 24)
	for _, bad := range []string{"short", "whsec_c2hvcnQ=", "whsec_" + secret + "!"} {
		_, err := config.Load([]string{"SECKILL_PAYMENT_SECRETS=" + bad}, "")
		require.ErrorContains(t, err, "SECKILL_PAYMENT_SECRETS", bad)
	}
	values, err := config.Values([]string{"SECKILL_PAYMENT_SECRETS=" + secret}, "")
	require.NoError(t, err)
	require.Equal(t, "redacted", values["payment_secrets"])
}
