package rocketmq

import (
	"bufio"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// nobody is an address at which no server listens.
const nobody = "127.0.0.1:1"

// brokerWith returns the address of a server that gives these answers by the code of
// the request, and what was asked.
func brokerWith(tb testing.TB, answers map[int]answer) (addr string, asked func() []int) {
	tb.Helper()
	var mu sync.Mutex
	var codes []int
	addr = serve(tb, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			request, seq, err := readAnswer(r)
			if err != nil {
				return
			}
			mu.Lock()
			codes = append(codes, request.code)
			mu.Unlock()
			a := answers[request.code]
			_, _ = conn.Write(frameOf(header{Code: a.code, Remark: a.remark, Opaque: seq, Ext: a.ext}, string(a.body)))
		}
	})
	return addr, func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(codes)
	}
}

const oneBroker = `{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"a"}],
	"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"writeQueueNums":2}]}`

func TestARouteIsThatOfTheFirstNameServerThatAnswers(t *testing.T) {
	t.Parallel()
	c := newCaller(Options{})
	t.Cleanup(c.close)
	knows, _ := brokerWith(t, map[int]answer{codeRoute: {body: []byte(oneBroker)}})
	other, asked := brokerWith(t, nil)
	shards, err := c.route(t.Context(), []string{nobody, knows, other}, "T")
	require.NoError(t, err)
	require.Equal(t, []shard{{"a", "10.0.0.1:10911", 4}}, shards)
	shards, err = c.writeRoute(t.Context(), []string{knows}, "T")
	require.NoError(t, err)
	require.Equal(t, []shard{{"a", "10.0.0.1:10911", 2}}, shards)
	require.Empty(t, asked(), "one answer is enough")
	_, err = c.route(t.Context(), []string{nobody, nobody}, "T")
	require.ErrorContains(t, err, "refused")
	require.NotErrorIs(t, err, ErrNoTopic, "nobody said so")
}

func TestATopicWithoutAQueueIsNone(t *testing.T) {
	t.Parallel()
	c := newCaller(Options{})
	t.Cleanup(c.close)
	for name, tt := range map[string]struct {
		answer answer
		want   string
	}{
		"unknown":   {answer{code: answerNoTopic, remark: "no route"}, ErrNoTopic.Error() + ": T"},
		"no broker": {answer{body: []byte(`{"brokerDatas":[],"queueDatas":[]}`)}, "route of T: " + ErrNoTopic.Error()},
	} {
		server, _ := brokerWith(t, map[int]answer{codeRoute: tt.answer})
		_, err := c.route(t.Context(), []string{server}, "T")
		require.ErrorIs(t, err, ErrNoTopic, name)
		require.EqualError(t, err, tt.want, name)
	}
	server, _ := brokerWith(t, map[int]answer{codeRoute: {body: []byte("{")}})
	_, err := c.route(t.Context(), []string{server}, "T")
	require.ErrorContains(t, err, "route of T: unexpected end of JSON input")
}

func TestTheMastersOfACluster(t *testing.T) {
	t.Parallel()
	c := newCaller(Options{})
	t.Cleanup(c.close)
	server, _ := brokerWith(t, map[int]answer{codeCluster: {body: []byte(`{"brokerAddrTable":{
		"a":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"a"},
		"b":{"brokerAddrs":{1:"10.0.0.3:10911"},"brokerName":"b"}}}`)}})
	masters, err := c.masters(t.Context(), []string{nobody, server})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "10.0.0.1:10911"}, masters)
	_, err = c.masters(t.Context(), []string{nobody})
	require.ErrorContains(t, err, "refused")
	broken, _ := brokerWith(t, map[int]answer{codeCluster: {body: []byte("{")}})
	_, err = c.masters(t.Context(), []string{broken})
	require.ErrorContains(t, err, "cluster: unexpected end of JSON input")
}

func TestAPingAsksEveryMaster(t *testing.T) {
	t.Parallel()
	broker, asked := brokerWith(t, nil)
	cluster := func(brokers string) *Admin {
		server, _ := brokerWith(t, map[int]answer{codeCluster: {body: []byte(`{"brokerAddrTable":{` + brokers + `}}`)}})
		a, err := NewAdmin(Options{NameServers: []string{server}, Topic: "T", Group: "G"})
		require.NoError(t, err)
		t.Cleanup(a.Close)
		return a
	}
	up := `"a":{"brokerAddrs":{0:"` + broker + `"},"brokerName":"a"}`
	require.NoError(t, cluster(up).Ping(t.Context()))
	require.Equal(t, []int{codeRuntimeInfo}, asked())
	require.ErrorContains(t, cluster(up+`,"b":{"brokerAddrs":{0:"`+nobody+`"},"brokerName":"b"}`).Ping(t.Context()), "refused")
	require.ErrorIs(t, cluster("").Ping(t.Context()), ErrNoBroker)
	a, err := NewAdmin(Options{NameServers: []string{nobody}, Topic: "T", Group: "G"})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	require.NotErrorIs(t, a.Ping(t.Context()), ErrNoBroker, "no name server said so")
}

func TestTheBrokersOfAClusterAndTheirReplicas(t *testing.T) {
	t.Parallel()
	broker, _ := brokerWith(t, map[int]answer{
		codeRuntimeInfo: {body: []byte(`{"table":{"brokerVersionDesc":"V5_5_0"}}`)}, codeBrokerConfig: {body: []byte("brokerRole=SYNC_MASTER\n")},
	})
	noConfig, _ := brokerWith(t, map[int]answer{codeRuntimeInfo: {body: []byte(`{}`)}, codeBrokerConfig: {code: 1, remark: "no config"}})
	brokers := func(table string) ([]Broker, error) {
		server, _ := brokerWith(t, map[int]answer{codeCluster: {body: []byte(`{"brokerAddrTable":{` + table + `}}`)}})
		a, err := NewAdmin(Options{NameServers: []string{server}, Topic: "T", Group: "G"})
		require.NoError(t, err)
		t.Cleanup(a.Close)
		return a.Brokers(t.Context())
	}
	orphan := `"a":{"brokerAddrs":{1:"` + nobody + `"}}`
	found, err := brokers(orphan + `,"b":{"brokerAddrs":{0:"` + broker + `",1:"10.0.0.2:10911",2:"10.0.0.3:10911"}}`)
	require.NoError(t, err)
	require.Equal(t, []Broker{{Name: "b", Addr: broker, Replicas: 2, Version: "V5_5_0", Disk: -1, Role: "SYNC_MASTER"}}, found)
	_, err = brokers(orphan)
	require.ErrorIs(t, err, ErrNoBroker)
	_, err = brokers(`"b":{"brokerAddrs":{0:"` + nobody + `"}}`)
	require.ErrorContains(t, err, "broker b: ")
	_, err = brokers(`"b":{"brokerAddrs":{0:"` + noConfig + `"}}`)
	require.ErrorContains(t, err, "no config")
	a, err := NewAdmin(Options{NameServers: []string{nobody}, Topic: "T", Group: "G"})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	_, err = a.Brokers(t.Context())
	require.ErrorContains(t, err, "refused")
}
