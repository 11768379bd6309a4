package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"seckill/internal/loop"
	"seckill/queue"
)

const (
	// readerGroup is the group name of all Readers. The broker requires one. It has no
	// offsets and no members, so that Readers disturb neither each other nor any consumer.
	readerGroup = "SECKILL_READER"
	readAtOnce  = 64
	readEvery   = 200 * time.Millisecond // while there is nothing new
	// clockSkew is how much a broker's clock may differ from ours.
	clockSkew = time.Minute

	codePull             = 11
	answerPullNotFound   = 19
	answerPullRetry      = 20
	answerPullMoved      = 21
	pullSubscriptionFlag = 4 // the request has the subscription; no consumer is registered
)

// Reader reads a topic without being one of its consumers, for a person who watches it.
type Reader struct {
	opts Options
	rpc  *caller
}

// NewReader checks the options; Group is not used. The error is ErrOptions.
func NewReader(opts Options) (*Reader, error) {
	opts.Group = readerGroup
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	return &Reader{opts: opts, rpc: newCaller(opts)}, nil
}

// Read passes each message of the topic to handle, from now on or from the oldest one,
// until ctx is done, which is no error, or handle returns an error. Messages of one queue
// are in their order. Once Read has begun, it waits while the broker is down. Within half
// a minute it also reads new queues and brokers, from what they stored since Read began.
func (r *Reader) Read(ctx context.Context, fromStart bool, handle func([]queue.Message) error) error {
	defer r.rpc.close()
	in := reading{Reader: r, handle: handle, at: make(map[place]int64), addrs: make(map[string]string), since: time.Now().Add(-clockSkew)}
	first, later := codeMaxOffset, codeSearchOffset
	if fromStart {
		first, later = codeMinOffset, codeMinOffset
	}
	if err := in.extend(ctx, first); err != nil {
		return err
	}
	logged, looked := false, time.Now()
	for {
		found, err := in.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if refused, ok := errors.AsType[*refusedError](err); ok {
			return refused.err
		}
		if err != nil && !logged {
			r.opts.Log.WarnContext(ctx, "topic cannot be read, will try again", "topic", r.opts.Topic, "err", err)
		}
		if err != nil || time.Since(looked) >= r.opts.refresh {
			_ = in.extend(ctx, later) // brokers may have new addresses; else the known ones stay
			looked = time.Now()
		}
		logged = err != nil
		if !found && loop.Pause(ctx, readEvery) != nil {
			return nil
		}
	}
}

// refusedError is the error of the caller's handler.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// reading is one call of Read.
type reading struct {
	*Reader

	handle func([]queue.Message) error
	at     map[place]int64   // what to read next
	addrs  map[string]string // of the brokers
	since  time.Time         // every later message is read
}

// extend updates the addresses of the brokers. For new queues, it asks with code where
// to begin.
func (in *reading) extend(ctx context.Context, code int) error {
	shards, err := in.rpc.route(ctx, in.opts.NameServers, in.opts.Topic)
	if err != nil {
		return err
	}
	for _, s := range shards {
		in.addrs[s.Broker] = s.Addr
	}
	a := Admin{opts: in.opts, rpc: in.rpc}
	for _, s := range shards {
		for q := range s.Queues {
			if _, known := in.at[place{s.Broker, q}]; known {
				continue
			}
			n, err := a.offset(ctx, s.Addr, code, map[string]string{
				"topic": in.opts.Topic, "queueId": strconv.Itoa(q), "timestamp": strconv.FormatInt(in.since.UnixMilli(), 10),
			})
			if err != nil {
				return err
			}
			in.at[place{s.Broker, q}] = max(0, n)
		}
	}
	return nil
}

// round reads once from each queue, and reports whether there was a message.
func (in *reading) round(ctx context.Context) (found bool, err error) {
	var errs []error
	for from := range in.at {
		some, err := in.pull(ctx, from)
		if _, refused := errors.AsType[*refusedError](err); refused {
			return true, err
		}
		errs = append(errs, err)
		found = found || some
	}
	return found, errors.Join(errs...)
}

// pull reads the next messages of one queue.
func (in *reading) pull(ctx context.Context, from place) (some bool, err error) {
	a := Admin{opts: in.opts, rpc: in.rpc}
	found, next, err := a.pull(ctx, in.addrs[from.broker], in.opts.Topic, from.queue, in.at[from])
	if err != nil {
		return false, err
	}
	if len(found) > 0 {
		if err := in.handle(found); err != nil {
			return true, &refusedError{err}
		}
	}
	some = next != in.at[from]
	in.at[from] = next
	return some, nil
}

// pull reads messages of one queue from an offset on, none at its end, and returns the
// offset to read from next. It moves no offset of the group.
func (a *Admin) pull(ctx context.Context, addr, topic string, number int, at int64) (found []queue.Message, next int64, err error) {
	ans, err := a.rpc.call(ctx, addr, codePull, map[string]string{
		"consumerGroup": a.opts.Group, "topic": topic, "queueId": strconv.Itoa(number),
		"queueOffset": strconv.FormatInt(at, 10), "maxMsgNums": strconv.Itoa(readAtOnce),
		"sysFlag": strconv.Itoa(pullSubscriptionFlag), "commitOffset": "0", "suspendTimeoutMillis": "0",
		"subscription": "*", "subVersion": "0", "expressionType": "TAG",
	})
	moved := answered(err, answerPullRetry) || answered(err, answerPullMoved) // skip messages that were deleted
	switch {
	case answered(err, answerPullNotFound):
		return nil, at, nil
	case answered(err, answerNoGroup):
		return nil, at, fmt.Errorf("%w: %w", ErrNoGroup, err)
	case err != nil && !moved:
		return nil, at, err
	}
	if next, err = strconv.ParseInt(ans.ext["nextBeginOffset"], 10, 64); err != nil {
		return nil, at, fmt.Errorf("rocketmq: malformed offset: %w", err)
	}
	if moved {
		return nil, next, nil
	}
	return messagesOf(ans.body), next, nil
}

func messagesOf(body []byte) []queue.Message {
	found := primitive.DecodeMessage(body)
	ms := make([]queue.Message, len(found))
	for i, m := range found {
		ms[i] = Message{ID: m.MsgId, Body: m.Body, StoredAt: time.UnixMilli(m.StoreTimestamp)}
	}
	return ms
}
