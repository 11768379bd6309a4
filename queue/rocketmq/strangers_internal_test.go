package rocketmq

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/queue"
)

// stranger speaks the broker's protocol by itself: no client of its would send this.
type stranger struct {
	conn net.Conn
	r    *bufio.Reader
}

// write stores one message with any flags and properties, and returns the broker's code.
func (s *stranger) write(t *testing.T, topic string, sysFlag int, properties string, body []byte) int {
	t.Helper()
	h, err := json.Marshal(header{Code: 10, Language: "OTHER", Opaque: 1, Version: 399, Ext: map[string]string{
		"producerGroup": "stranger", "topic": topic, "defaultTopic": "TBW102", "defaultTopicQueueNums": "1", "queueId": "0",
		"sysFlag": strconv.Itoa(sysFlag), "bornTimestamp": "1", "flag": "0", "properties": properties, "reconsumeTimes": "0", "unitMode": "false",
	}})
	require.NoError(t, err)
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(h)+len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(h)))
	_, err = s.conn.Write(append(append(frame, h...), body...))
	require.NoError(t, err)
	a, _, err := readAnswer(s.r)
	require.NoError(t, err)
	return a.code
}

func TestWhateverAStrangerWritesTheQueueMovesOn(t *testing.T) {
	t.Parallel()
	servers := testenv.NameServers(t)
	n := strconv.FormatInt(time.Now().UnixNano(), 10) + strconv.Itoa(os.Getpid())
	o, err := Options{NameServers: servers, Topic: "T_" + n, ProbeTopic: "P_" + n, Group: "G_" + n, Log: slog.New(slog.DiscardHandler)}.checked()
	require.NoError(t, err)
	admin, err := NewAdmin(o)
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	require.NoError(t, admin.EnsureTopics(t.Context(), 1))
	t.Cleanup(func() { admin.RemoveTopics(context.WithoutCancel(t.Context())) })
	conn, err := net.Dial("tcp", admin.BrokerAddr(t.Context(), t))
	require.NoError(t, err)
	defer conn.Close()
	s := stranger{conn, bufio.NewReader(conn)}

	var zipped bytes.Buffer
	z := zlib.NewWriter(&zipped)
	_, err = z.Write([]byte("zipped"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	wrote := 0
	put := func(sysFlag int, properties string, body []byte) {
		t.Helper()
		if s.write(t, o.Topic, sysFlag, properties, body) == 0 {
			wrote++
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for _, body := range [][]byte{nil, {2}, {0xff}, []byte("{}"), random(100), random(100_000), random(500_000)} {
		put(0, "", body)
		put(0, "TAGS\x01other\x02KEYS\x01a b\x02", body)
		put(1, "", body) // "compressed"
	}
	put(1, "", zipped.Bytes())
	put(1, "", zipped.Bytes()[:zipped.Len()-3])
	for _, properties := range []string{
		"x", "\x01", "\x02", "\x01\x02", "a\x01b\x01c\x02", "UNIQ_KEY\x01\x02", "UNIQ_KEY\x01" + strings.Repeat("9", 30_000) + "\x02", "UNIQ_KEY\x01\xff\x00/../\x1b[2J\x02",
		"DELAY\x01x\x02", "traceparent\x01" + strings.Repeat("0", 1000) + "\x02", "RECONSUME_TIME\x01x\x02", "MIN_OFFSET\x01x\x02MAX_OFFSET\x01x\x02", "__SHARDINGKEY\x01x\x02",
		"%RETRY%\x01x\x02", "REAL_TOPIC\x01x\x02REAL_QID\x01y\x02", "PGROUP\x01x\x02", "WAIT\x01maybe\x02",
	} {
		put(0, properties, []byte("body"))
	}
	for range 100 {
		// No flags of transactions, whose messages are elsewhere, nor of IPv6 hosts: the broker
		// itself loses such a message, and the queue stands still for 40 s.
		put(rng.IntN(256)&^(0x4|0x8|0x10|0x20), string(random(rng.IntN(200))), random(rng.IntN(2000)))
	}
	put(0, "UNIQ_KEY\x01last\x02", []byte("body"))
	require.Greater(t, wrote, 60)

	var mu sync.Mutex
	seen, last := 0, false
	sub, err := NewSubscriber(o, SubscriberOptions{Traced: true, Handle: func(_ context.Context, ms []queue.Message) error {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range ms {
			seen++
			last = last || m.ID == "last"
			if m.ID == "" {
				return errors.New("a message without an ID: nobody could discard it")
			}
		}
		return nil
	}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sub.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		lag, err := admin.Lag(t.Context())
		return err == nil && lag == 0 && last && seen == wrote
	}, 30*time.Second, 100*time.Millisecond, "everything is delivered and acknowledged")
}
