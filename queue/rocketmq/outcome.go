package rocketmq

import (
	"errors"
	"fmt"
	"net"
	"strings"

	clienterrors "github.com/apache/rocketmq-client-go/v2/errors"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// outcome of one try to send.
type outcome int

const (
	stored    outcome = iota // on the master, as safe as its flush setting makes it
	notStored                // surely not; another try may help
	refused                  // surely not, and another try will not help
	unclear                  // may be stored
)

// Answers of the broker to a send that came before anything was written.
const (
	answerBusy        = 2
	answerIllegal     = 13
	answerUnavailable = 14
	answerForbidden   = 16
)

// judge decides what a try came to from what the client returned. Whatever it
// does not know is unclear.
func judge(status primitive.SendStatus, err error) outcome {
	if err == nil {
		switch status {
		// Without its replica, too: it is the operator who says, by inSyncReplicas,
		// whether a master alone is enough.
		case primitive.SendOK, primitive.SendFlushSlaveTimeout, primitive.SendSlaveNotAvailable:
			return stored
		default: // a flush that timed out may still be lost
			return unclear
		}
	}
	if code, ok := answerCode(err); ok {
		switch code {
		case answerBusy, answerUnavailable:
			return notStored
		case answerIllegal, answerForbidden, answerNoTopic:
			return refused
		default: // 1, for one, comes before and after the write
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

// answerCode returns the broker's code, which the client has only in its text.
func answerCode(err error) (int, bool) {
	var code int
	_, scanErr := fmt.Sscanf(err.Error(), "CODE: %d,", &code)
	return code, scanErr == nil
}

// noRoute reports whether the client did not know where to send.
func noRoute(err error) bool {
	return err != nil && strings.Contains(err.Error(), "route info not found")
}
