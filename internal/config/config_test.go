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

func TestAValueInTheFileKeepsItsText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seckill.yaml")
	require.NoError(t, os.WriteFile(path, []byte("rocketmq_access_key: 00123456\nrocketmq_secret_key: 1e10\nredis_password: 0x10\nredis_username: yes\njwt_issuer: 2027-01-01\nredis_addrs: [10:1, 010:2]\njwt_public_keys: {a: 1.pem}\n"), 0o600))
	c, err := config.Load(nil, path)
	require.NoError(t, err)
	require.Equal(t, "00123456", c.RocketMQ.AccessKey)
	require.Equal(t, "1e10", c.RocketMQ.SecretKey)
	require.Equal(t, "0x10", c.Redis.Password)
	require.Equal(t, "yes", c.Redis.Username)
	require.Equal(t, "2027-01-01", c.Auth.Issuer)
	require.Equal(t, []string{"10:1", "010:2"}, c.Redis.Addrs)
	require.Equal(t, map[string]string{"a": "1.pem"}, c.Auth.JWTPublicKeys)
}

func TestAMisspeltVariableIsRefusedAndAStrangerIsNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{"SECKILL_MYSQL_TSL=true", "SECKILL_REDIS_ADDR=a:1"}, "")
	require.ErrorContains(t, err, "SECKILL_MYSQL_TSL is no setting (did you mean SECKILL_MYSQL_DSN or SECKILL_MYSQL_TLS?)")
	require.ErrorContains(t, err, "did you mean SECKILL_REDIS_ADDRS?")
	service := []string{"SECKILL_PORT=tcp://10.0.0.1:80", "SECKILL_API_SERVICE_HOST=10.0.0.1", "SECKILL_TEST_REQUIRED=1", "SECKILL_MYSQL_DSN_FILE=/x", "OTHER=1"}
	require.Equal(t, []string{"SECKILL_API_SERVICE_HOST", "SECKILL_PORT"}, config.Strangers(service))
	_, err = config.Load(service[:3], "")
	require.NoError(t, err)
}

func TestSecretsAreHardToGuessAndHaveOnePurpose(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"SECKILL_JWT_SECRETS", "SECKILL_ADMIN_JWT_SECRETS", "SECKILL_ID_KEYS", "SECKILL_MESSAGE_KEYS", "SECKILL_PAYMENT_SECRETS"} {
		for _, weak := range []string{strings.Repeat("a", 32), strings.Repeat("ab", 40), strings.Repeat("changeme", 8), strings.Repeat("0", 64)} {
			_, err := config.Load([]string{name + "=" + weak}, "")
			require.ErrorContains(t, err, name, weak)
			require.NotContains(t, err.Error(), weak)
		}
		for _, other := range []string{"SECKILL_JWT_SECRETS=k=", "SECKILL_ADMIN_JWT_SECRETS=", "SECKILL_ID_KEYS=", "SECKILL_MESSAGE_KEYS=", "SECKILL_PAYMENT_SECRETS="} {
			if strings.HasPrefix(other, name) {
				continue
			}
			_, err := config.Load([]string{name + "=" + secret, other + secret}, "")
			require.ErrorContains(t, err, "in common", "%s %s", name, other)
			require.NotContains(t, err.Error(), secret)
		}
	}
	_, err := config.Load([]string{"SECKILL_JWT_SECRETS=a=" + secret + ",b=" + secret}, "")
	require.NoError(t, err, "during a rotation")
}

func TestOriginsAreThoseThatBrowsersSend(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "*", "https://shop.example", "http://localhost:3000", "https://shop.example:8443,https://m.shop.example", "capacitor://localhost", "https://[2001:db8::1]:8443"} {
		_, err := config.Load([]string{"SECKILL_CORS_ORIGINS=" + good}, "")
		require.NoError(t, err, good)
	}
	for _, bad := range []string{"https://shop.example/", "shop.example", "https://*.shop.example", "https://Shop.example", "https://shop.example:443", "http://shop.example:80", "https://shop.example/page", "null", "*,https://shop.example", "https://u@shop.example", "https://shop.example?x"} {
		_, err := config.Load([]string{"SECKILL_CORS_ORIGINS=" + bad}, "")
		require.ErrorContains(t, err, "SECKILL_CORS_ORIGINS", bad)
	}
}

func TestUnsignedMessagesEndSoon(t *testing.T) {
	t.Parallel()
	c, err := config.Load(nil, "")
	require.NoError(t, err)
	require.Zero(t, c.Messages.UnsignedUntil)
	at := time.Now().Add(6 * 24 * time.Hour).Truncate(time.Second)
	c, err = config.Load([]string{"SECKILL_MESSAGE_UNSIGNED_UNTIL=" + at.Format(time.RFC3339)}, "")
	require.NoError(t, err)
	require.True(t, c.Messages.UnsignedUntil.Equal(at))
	for _, bad := range []string{"true", "24h", at.Format(time.DateTime), at.Add(48 * time.Hour).Format(time.RFC3339)} {
		_, err := config.Load([]string{"SECKILL_MESSAGE_UNSIGNED_UNTIL=" + bad}, "")
		require.ErrorContains(t, err, "SECKILL_MESSAGE_UNSIGNED_UNTIL: want a time with its zone", bad)
	}
}

func TestASecretsFileIsText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	load := func(content string) (config.Config, error) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return config.Load([]string{"SECKILL_REDIS_PASSWORD_FILE=" + path}, "")
	}
	c, err := load("\ufeffsecret\r\n")
	require.NoError(t, err)
	require.Equal(t, "secret", c.Redis.Password)
	for content, want := range map[string]string{"": "empty", "\ufeff\n": "empty", "\xff\xfes\x00e\x00": "UTF-16", "s\x00e\x00": "UTF-16"} {
		_, err := load(content)
		require.ErrorContains(t, err, want, "%q", content)
	}
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
	for dsn, want := range map[string]string{
		"us@er:hunter2@tcp(db:3306)/seckill":     "us@er:redacted@tcp(db:3306)/seckill",
		"user:hun@ter2:/@tcp(db:3306)/seckill":   "user:redacted@tcp(db:3306)/seckill",
		"user:hunter2@unix(/run/my.sock)/s":      "user:redacted@unix(/run/my.sock)/s",
		"mysql://user:hunter2@db:3306/seckill":   "redacted",
		"user:hunter2@db:3306/seckill":           "redacted",
		"user:hunter2":                           "redacted",
		"user:hunter2@tcp(db:3306)/s?tls=nosuch": "redacted",
	} {
		v, err := config.Values([]string{"SECKILL_MYSQL_DSN=" + dsn}, "")
		require.NoError(t, err)
		require.Equal(t, want, v["mysql_dsn"])
	}
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

func TestSettingsOfTLSAreRefusedWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"MYSQL_CA_FILE", "REDIS_CA_FILE", "ROCKETMQ_CA_FILE", "ROCKETMQ_TLS_SERVER_NAME"} {
		server, _, _ := strings.Cut(name, "_")
		set := "SECKILL_" + name + "=x"
		_, err := config.Load([]string{set}, "")
		require.EqualError(t, err, "SECKILL_"+name+" has no effect: set SECKILL_"+server+"_TLS=true, or remove it")
		_, err = config.Load([]string{set, "SECKILL_" + server + "_TLS=true"}, "")
		require.NoError(t, err)
	}
}
