package deploy_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// properties reads a broker's configuration.
func properties(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	return values
}

func TestTheBrokersConfigurationFitsItsContainer(t *testing.T) {
	t.Parallel()
	s, err := load(t, composeFile(t))
	require.NoError(t, err)
	conf, broker := properties(t, "compose/broker.conf"), s.Services["broker"]

	require.Contains(t, s.Services, conf["brokerIP1"], "clients get the name of a service")
	require.Equal(t, "broker", conf["brokerIP1"])
	require.Contains(t, []string(broker.Expose), conf["listenPort"])
	host, port, err := net.SplitHostPort(conf["namesrvAddr"])
	require.NoError(t, err)
	require.Contains(t, []string(s.Services[host].Expose), port)
	require.Equal(t, "SYNC_FLUSH", conf["flushDiskType"])
	require.Equal(t, "false", conf["autoCreateTopicEnable"])
	require.Empty(t, conf["bindAddress"], "other containers connect to it")

	var mounts []string
	for _, v := range broker.Volumes {
		mounts = append(mounts, v.Target)
	}
	require.Contains(t, mounts, conf["storePathRootDir"], "the messages outlive the container")
	require.Contains(t, mounts, broker.Command[len(broker.Command)-1], "its configuration is mounted")
	require.Equal(t, "/run/secrets/"+broker.Secrets[0].Source, broker.Command[0], "and its users")
	require.Equal(t, "true", conf["authenticationEnabled"], "nobody else may send orders")
	require.Equal(t, broker.Volumes[0].Source, s.Services["broker-volume"].Volumes[0].Source)
	require.Equal(t, []string{"chown", "3000:3000", conf["storePathRootDir"]}, []string(s.Services["broker-volume"].Entrypoint))
	check := strings.Join(broker.HealthCheck.Test, " ")
	require.Contains(t, check, "ask 127.0.0.1 "+conf["listenPort"]+" ")
	require.Contains(t, check, "ask "+host+" "+port+" 106 "+conf["brokerIP1"]+":"+conf["listenPort"])
}

// The brokers of scripts/up and of the containers have the same settings.
func TestTheBrokersDifferOnlyInTheirPlace(t *testing.T) {
	t.Parallel()
	here, there := properties(t, "rocketmq/broker.conf"), properties(t, "compose/broker.conf")
	for _, place := range []string{
		"brokerIP1", "bindAddress", "listenPort", "namesrvAddr", "storePathRootDir", "storePathCommitLog", "flushDiskType",
		"authenticationEnabled", "authenticationProvider", "authenticationMetadataProvider", "authenticationWhitelist",
		"mappedFileSizeCommitLog", "maxHashSlotNum", "maxIndexNum", // small on disk, for tests
	} {
		delete(here, place)
		delete(there, place)
	}
	require.Equal(t, here, there)
}

// answering is a server that gives one RocketMQ answer to each request.
func answering(t *testing.T, answer string) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var size uint32
			if binary.Read(c, binary.BigEndian, &size) == nil {
				_, _ = io.CopyN(io.Discard, c, int64(size))
			}
			body := append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)
			_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
			c.Close()
		}
	}()
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

func TestTheHealthCheckWantsAGoodAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer, want string
		healthy      bool
	}{
		{`{"code":0,"flag":1}{"brokerAddrs":{0:"broker:10911"}}`, "broker:10911", true},
		{`{"code":0,"flag":1}`, "", true},
		{`{"code":0,"flag":1}{"brokerAddrs":{}}`, "broker:10911", false},
		{`{"code":1,"remark":"broker:10911"}`, "broker:10911", false},
		{"", "", false},
	} {
		err := exec.CommandContext(t.Context(), "bash", "compose/rocketmq", "ask", "127.0.0.1", answering(t, c.answer), "106", c.want).Run()
		require.Equal(t, c.healthy, err == nil, "%+v: %v", c, err)
	}
}

// The image's start script neither forwards SIGTERM nor waits. The replacement for Java
// here must get the signal, and the time to stop.
func TestAStoppedContainerLetsJavaFinish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700))
	}
	write("java", "#!/bin/bash\ntrap 'sleep 0.5; echo closed; exit' TERM\necho up\nwhile :; do sleep 0.05; done\n")
	write("mqbroker", "#!/bin/sh\nsh -c \"$(dirname \"$0\")/java; :\"\n")
	cmd := exec.CommandContext(t.Context(), "bash", "compose/rocketmq", "run", filepath.Join(dir, "mqbroker"))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "up\n", first)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan struct{})
	var rest bytes.Buffer
	go func() {
		_, _ = io.Copy(&rest, lines)
		_ = cmd.Wait() // 143: the exit code of a signal
		close(ended)
	}()
	select {
	case <-ended:
		require.Equal(t, "closed\n", rest.String())
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("does not stop")
	}
}

func TestAnEndedServerEndsItsContainer(t *testing.T) {
	t.Parallel()
	err := exec.CommandContext(t.Context(), "bash", "compose/rocketmq", "run", "sh", "-c", "exit 7").Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitCode())
}
