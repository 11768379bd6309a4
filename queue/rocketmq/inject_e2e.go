//go:build e2e

package rocketmq

import "context"

// Inject publishes a message with any body, which need not be an order. It is for tests
// of the whole system and not in releases.
func (p *Publisher) Inject(ctx context.Context, id string, body []byte) error {
	return p.publish(ctx, &pending{id: id, body: body, done: make(chan error, 1)})
}
