package rocketmq

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatABrokerSaysOfItselfIsRead(t *testing.T) {
	t.Parallel()
	b, err := parseBroker([]byte(`{"table":{"brokerVersionDesc":"V5_5_0","commitLogDiskRatio":"0.71"}}`),
		[]byte("brokerRole=SYNC_MASTER\ninSyncReplicas=2\nflushDiskType=ASYNC_FLUSH\nautoCreateTopicEnable=true\nstorePathRootDir=/a=b\ncleanFileForciblyEnable=false\n"))
	require.NoError(t, err)
	require.Equal(t, Broker{Version: "V5_5_0", Disk: .71, Role: "SYNC_MASTER", InSync: 2, Flush: "ASYNC_FLUSH", AutoCreate: true}, b)
	b, err = parseBroker([]byte(`{}`), nil)
	require.NoError(t, err)
	require.Equal(t, Broker{Disk: -1}, b, "one that does not tell")
	_, err = parseBroker([]byte(`no JSON`), nil)
	require.Error(t, err)
}
