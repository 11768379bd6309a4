//go:build e2e

package rocketmq

import "context"

// Inject publishes a message with any body, which may be no order at all. It
// is for tests of the whole system, and in no release.
func (p *Publisher) Inject(ctx context.Context, id string, body []byte) error {
	return p.publish(ctx, &pending{id: id, body: body, done: make(chan error, 1)})
}
