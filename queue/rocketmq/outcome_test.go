package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	clienterrors "github.com/apache/rocketmq-client-go/v2/errors"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/stretchr/testify/require"
)

func TestWhatATryCameTo(t *testing.T) {
	t.Parallel()
	code := func(n int) error { return fmt.Errorf("CODE: %d, DESC: something", n) }
	for name, c := range map[string]struct {
		status primitive.SendStatus
		err    error
		want   outcome
	}{
		"ok":                      {primitive.SendOK, nil, stored},
		"slave not available":     {primitive.SendSlaveNotAvailable, nil, stored},
		"slave flush timed out":   {primitive.SendFlushSlaveTimeout, nil, stored},
		"disk flush timed out":    {primitive.SendFlushDiskTimeout, nil, unclear},
		"a status nobody knows":   {primitive.SendUnknownError, nil, unclear},
		"system error":            {0, code(1), unclear},
		"busy":                    {0, code(2), notStored},
		"message illegal":         {0, code(13), refused},
		"service not available":   {0, code(14), notStored},
		"no permission":           {0, code(16), refused},
		"no topic":                {0, code(17), refused},
		"a code nobody knows":     {0, code(29), unclear},
		"connection refused":      {0, &net.OpError{Op: "dial", Err: errors.New("refused")}, notStored},
		"dial timed out":          {0, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, notStored},
		"connection cut in write": {0, &net.OpError{Op: "write", Err: errors.New("reset")}, unclear},
		"no answer":               {0, clienterrors.ErrRequestTimeout, unclear},
		"no route":                {0, errors.New("the topic=T route info not found"), notStored},
		"no address":              {0, errors.New("topic=T route info not found"), notStored},
		"producer shut down":      {0, clienterrors.ErrNotRunning, notStored},
		"client shut down":        {0, clienterrors.ErrService, notStored},
		"stuck":                   {0, errStuck, unclear},
		"cancelled":               {0, context.Canceled, unclear},
		"anything else":           {0, errors.New("eh"), unclear},
	} {
		require.Equal(t, c.want, outcomeOf(c.status, c.err), name)
	}
}

func TestTheSumOfAllTries(t *testing.T) {
	t.Parallel()
	last := errors.New("last")
	require.NoError(t, sum(true, false, nil))
	require.NoError(t, sum(true, true, nil), "stored at last")
	require.ErrorIs(t, sum(false, true, last), ErrUnknown)
	require.ErrorIs(t, sum(false, true, nil), ErrUnknown)
	err := sum(false, false, last)
	require.ErrorIs(t, err, ErrNotStored)
	require.ErrorIs(t, err, last)
	require.NotErrorIs(t, err, ErrUnknown)
}
