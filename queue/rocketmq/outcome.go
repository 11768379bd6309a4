package rocketmq

import (
	"errors"
	"fmt"
	"net"
	"strings"

	clienterrors "github.com/apache/rocketmq-client-go/v2/errors"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// outcome is the result of one try to send.
type outcome int

const (
	stored    outcome = iota // on the master, as durable as its flush setting
	notStored                // surely not; another try may help
	refused                  // surely not, and another try will not help
	unclear                  // may be stored
)

// Responses to a send that the broker gives before it writes anything.
const (
	answerBusy        = 2
	answerIllegal     = 13
	answerUnavailable = 14
	answerForbidden   = 16
)

// outcomeOf returns the outcome of a try from the client's result. What it does not know is
// unclear.
func outcomeOf(status primitive.SendStatus, err error) outcome {
	if err == nil {
		switch status {
		// Also without its replica: the operator decides, by inSyncReplicas, whether the
		// master alone is enough.
		case primitive.SendOK, primitive.SendFlushSlaveTimeout, primitive.SendSlaveNotAvailable:
			return stored
		default: // after a flush timeout, the message may be lost
			return unclear
		}
	}
	if code, ok := answerCode(err); ok {
		switch code {
		case answerBusy, answerUnavailable:
			return notStored
		case answerIllegal, answerForbidden, answerNoTopic:
			return refused
		default: // 1, for example, is sent before and after the write
			return unclear
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return notStored
	}
	if noRoute(err) || errors.Is(err, clienterrors.ErrNotRunning) || errors.Is(err, clienterrors.ErrService) {
		return notStored
	}
	return unclear
}

// answerCode returns the broker's code, which the client has only in its error text.
func answerCode(err error) (int, bool) {
	var code int
	_, scanErr := fmt.Sscanf(err.Error(), "CODE: %d,", &code)
	return code, scanErr == nil
}

// noRoute reports whether the client did not know where to send.
func noRoute(err error) bool {
	return err != nil && strings.Contains(err.Error(), "route info not found")
}
