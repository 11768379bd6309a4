package testenv

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Broker starts a RocketMQ name server and a broker for one test, from the files that
// scripts/up fetched. settings are lines of the broker's configuration, which override
// those of deploy/rocketmq. It returns the addresses of both; they may need seconds to
// answer. Both end with the test.
func Broker(tb testing.TB, settings ...string) (nameServer, broker string) {
	tb.Helper()
	return BrokerUnder(tb, nil, settings...)
}

// BrokerUnder is Broker with options of Java for both.
func BrokerUnder(tb testing.TB, options []string, settings ...string) (nameServer, broker string) {
	tb.Helper()
	needsServers(tb)
	lib := upwards(tb, ".run/rocketmq/lib")
	if lib == "" {
		missingf(tb, "no RocketMQ: scripts/up fetches it")
	}
	dir := tb.TempDir()
	names, listen := freePorts(tb, 0), freePorts(tb, -2, 0, 1)
	nameServer, broker = loopbackAt(names), loopbackAt(listen)
	deployed := filepath.Join(filepath.Dir(upwards(tb, "go.mod")), "deploy/rocketmq")
	placeholders := strings.NewReplacer("@NAMESRV_PORT@", strconv.Itoa(names), "@BROKER_PORT@", strconv.Itoa(listen),
		"@BROKER_IP@", "127.0.0.1", "@FLUSH@", "ASYNC_FLUSH", "@DATA@", dir)
	for _, s := range []struct {
		name, heap, class string
		more              []string
	}{
		{"namesrv", "128m", "org.apache.rocketmq.namesrv.NamesrvStartup", nil},
		{"broker", "512m", "org.apache.rocketmq.broker.BrokerStartup", settings},
	} {
		given, err := os.ReadFile(filepath.Join(deployed, s.name+".conf"))
		if err != nil {
			tb.Fatalf("%v", err)
		}
		conf := filepath.Join(dir, s.name+".conf")
		text := placeholders.Replace(string(given)) + "\n" + strings.Join(s.more, "\n") + "\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			tb.Fatalf("%v", err)
		}
		background(tb, []string{"ROCKETMQ_HOME=" + dir}, java(tb), append(slices.Clone(options), "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
			"-Djava.security.manager", "-Djava.security.policy=="+filepath.Join(deployed, "broker.policy"), "-Duser.home="+dir, "-Drmq.logback.configurationFile=rmq."+s.name+".logback.xml", "-XX:+UseSerialGC", "-Xmx"+s.heap,
			"-cp", lib+"/*", s.class, "-c", conf)...)
	}
	for _, addr := range []string{nameServer, broker} {
		awaitPort(tb, addr, time.Minute)
	}
	return nameServer, broker
}

// Codes of requests for AskBroker.
const (
	BrokerTopic  = 17 // with the fields of a topic: make or change it
	BrokerConfig = 25 // name=value in the body: change the configuration
	BrokerGroup  = 200
)

// AskBroker makes one request of RocketMQ's own protocol, which must succeed.
func AskBroker(tb testing.TB, addr string, code int, fields map[string]string, body string) {
	tb.Helper()
	head, err := json.Marshal(map[string]any{"code": code, "language": "OTHER", "version": 399, "opaque": 1, "flag": 0, "extFields": fields})
	must(tb, err)
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.WithoutCancel(tb.Context()), "tcp", addr) // cleanups call it, too
	must(tb, err)
	defer conn.Close()
	must(tb, conn.SetDeadline(time.Now().Add(5*time.Second)))
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(head)+len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(head)))
	_, err = conn.Write(append(append(frame, head...), body...))
	must(tb, err)
	var sizes [8]byte
	in := bufio.NewReader(conn)
	_, err = io.ReadFull(in, sizes[:])
	must(tb, err)
	answer := make([]byte, binary.BigEndian.Uint32(sizes[4:])&0xffffff)
	_, err = io.ReadFull(in, answer)
	must(tb, err)
	var got struct {
		Code   int    `json:"code"`
		Remark string `json:"remark"`
	}
	must(tb, json.Unmarshal(answer, &got))
	if got.Code != 0 {
		tb.Fatalf("the broker answers %d to request %d: %s", got.Code, code, got.Remark)
	}
}

// java returns the version that RocketMQ was tried with, or another one.
func java(tb testing.TB) string {
	tb.Helper()
	if found, _ := filepath.Glob("/usr/lib/jvm/java-17-openjdk-*/bin/java"); len(found) > 0 {
		return found[0]
	}
	path, err := exec.LookPath("java")
	if err != nil {
		missingf(tb, "no java: scripts/up installs it")
	}
	return path
}
