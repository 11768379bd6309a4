package deploy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABrokenComposeFileIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, found string }{
		"a setting misspelt":           {"SECKILL_ROCKETMQ_NAMESERVERS:", "SECKILL_ROCKETMQ_NAMESERVER:", "SECKILL_ROCKETMQ_NAMESERVER is not a setting"},
		"a required setting misspelt":  {"SECKILL_REDIS_ADDRS:", "SECKILL_REDIS_ADDR:", "did you mean SECKILL_REDIS_ADDRS?"},
		"a secret's setting misspelt":  {"SECKILL_JWT_SECRETS_FILE:", "SECKILL_JWT_SECRET_FILE:", "did you mean SECKILL_JWT_SECRETS?"},
		"a bad value":                  {"SECKILL_LISTEN: 0.0.0.0:8080", `SECKILL_LISTEN: "8080"`, "want host:port"},
		"a host misspelt":              {"redis:6379\n", "rediss:6379\n", "rediss:6379 is no service"},
		"a wrong port":                 {"namesrv:9876\n", "namesrv:9877\n", "namesrv listens on [9876]"},
		"a published port":             {"127.0.0.1:8080:8080", "127.0.0.1:8080:8081", "published 8081, nginx listens on [8080 "},
		"a port for everybody":         {"127.0.0.1:8080:8080", "8080:8080", "open to everybody"},
		"an API beside the proxy":      {"  api-2:\n    <<: *api\n", "  api-2:\n    <<: *api\n    ports: [\"127.0.0.1:8082:8080\"]\n", "reachable beside nginx"},
		"an API that nginx has not":    {"  api-2:\n    <<: *api\n", "  api-3:\n    <<: *api\n    networks: [shop]\n  api-2:\n    <<: *api\n", "api-3:8080 is not behind nginx"},
		"an API on another port":       {"SECKILL_LISTEN: 0.0.0.0:8080", "SECKILL_LISTEN: 0.0.0.0:8090", "api-1:8090 is not behind nginx"},
		"a proxy that is not trusted":  {"SECKILL_TRUSTED_PROXIES: 10.213.80.10/32 ", "SECKILL_TRUSTED_PROXIES: 10.213.80.11/32 ", "api-1: does not trust nginx"},
		"trust in all neighbours":      {"SECKILL_TRUSTED_PROXIES: 10.213.80.10/32 ", "SECKILL_TRUSTED_PROXIES: 10.213.80.0/24 ", "api-1: does not trust nginx"},
		"nginx cut off in a poll":      {"stop_grace_period: 60s # the longest", "stop_grace_period: 20s # the longest", "nginx: is killed"},
		"admin on loopback":            {"0.0.0.0:8081", "127.0.0.1:8081", "health and metrics listen on"},
		"another network":              {"networks: [servers]", "networks: [shop]", "is on another network"},
		"no wait for Redis":            {"  redis: {condition: service_healthy}\n", "", "redis:6379 is not waited for"},
		"a job that never ends":        {"    restart: \"no\"\n    healthcheck: {disable: true}", "    restart: always", "migrate never completes"},
		"a job awaited as a server":    {"migrate: {condition: service_completed_successfully}", "migrate: {condition: service_healthy}", "migrate never becomes healthy"},
		"started is not ready":         {"  mysql: {condition: service_healthy}\n  redis", "  mysql: {condition: service_started}\n  redis", "waits for service_started only"},
		"no health check":              {"[CMD, bash, /opt/seckill/rocketmq, ask, 127.0.0.1, \"9876\", \"106\"]", "[NONE]", "namesrv: has no health check"},
		"a health check of another":    {"[CMD, /seckill, healthcheck]", "[CMD, /seckill, health]", "health check"},
		"an image of any version":      {"redis:7.4.9", "redis:latest", "not pinned"},
		"an image with known holes":    {"nginx:1.30.7", "nginx:1.28.0", "known holes"},
		"a server that may do all":     {"    user: redis\n", "    user: redis\n    cap_add: [SYS_ADMIN]\n", "redis: may do more"},
		"a writable server":            {"    secrets: [redis_acl, redis_password]\n", "    secrets: [redis_acl, redis_password]\n    tmpfs: [\"/tmp\"]\n    privileged: true\n", "redis: may do more"},
		"a dashboard beside MySQL":     {"networks: [observe, watch]", "networks: [observe, watch, servers]", "prometheus: reaches mysql"},
		"a secret in the file":         {"MYSQL_PASSWORD_FILE: /run/secrets/mysql_password", "MYSQL_PASSWORD: hunter2", "MYSQL_PASSWORD is written into the file"},
		"our secret in the file":       {"SECKILL_ID_KEYS_FILE: /run/secrets/id_keys", "SECKILL_ID_KEYS: 0123456789012345678901234567890123456789", "it comes from a file"},
		"a secret not mounted":         {"secrets: [mysql_dsn, redis_password, rocketmq_secret, jwt_secrets, id_keys, message_keys, admin_jwt_secrets]", "secrets: [mysql_dsn, redis_password, rocketmq_secret, jwt_secrets, message_keys, admin_jwt_secrets]", "/run/secrets/id_keys is not mounted"},
		"messages nobody signs":        {"    SECKILL_MESSAGE_KEYS_FILE: /run/secrets/message_keys\n    SECKILL_ADMIN", "    SECKILL_ADMIN", "SECKILL_MESSAGE_KEYS is not set"},
		"no API for operators":         {"    SECKILL_ADMIN_JWT_SECRETS_FILE: /run/secrets/admin_jwt_secrets\n", "", "SECKILL_ADMIN_JWT_SECRETS is not set"},
		"shoppers may make operators":  {"SECKILL_ADMIN_JWT_SECRETS_FILE: /run/secrets/admin_jwt_secrets", "SECKILL_ADMIN_JWT_SECRETS_FILE: /run/secrets/jwt_secrets", "a secret in common"},
		"a secret git would take":      {"file: deploy/compose/secrets/id_keys", "file: deploy/id_keys", "git does not ignore"},
		"a secret nobody makes":        {"file: deploy/compose/secrets/id_keys", "file: deploy/compose/secrets/idkeys", "not made by make-secrets"},
		"killed while it drains":       {"stop_grace_period: 40s", "stop_grace_period: 10s", "is killed after"},
		"a drain longer than the stop": {"    SECKILL_LISTEN: 0.0.0.0:8080\n", "    SECKILL_LISTEN: 0.0.0.0:8080\n    SECKILL_STOP_DELAY: 20s\n", "is killed after"},
		"a writable program":           {"read_only: true", "read_only: false", "may do more"},
		"a mount that is not there":    {"./deploy/compose/broker.conf:", "./deploy/compose/brokers.conf:", "brokers.conf"},
		"no limits":                    {"        limits: {cpus: \"1\", memory: 512M}", "        limits: {cpus: \"1\"}", "namesrv: may take the whole machine"},
		"a command that is none":       {"command: [consumer]", "command: [consume]", "no command"},
		"a misspelt key":               {"stop_grace_period: 40s", "stop_grace_perod: 40s", "stop_grace_perod"},
		"a service nobody declares":    {"broker-volume: {condition", "broker-volumes: {condition", "broker-volumes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := composeFile(t)
			require.Contains(t, text, c.from)
			s, err := load(t, strings.Replace(text, c.from, c.to, 1))
			if err != nil {
				require.ErrorContains(t, err, c.found)
				return
			}
			require.Contains(t, strings.Join(s.problems(), "\n"), c.found)
		})
	}
}
