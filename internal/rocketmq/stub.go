package rocketmq

import (
	"context"
	"time"

	"seckill/order"
)

type PublisherOptions struct {
	Guard   func(func() error) error
	Observe func(outcome string, batch int, took time.Duration)
	Senders int
	Queue   int
}
type Publisher struct{}

func NewPublisher(o Options, p PublisherOptions) (*Publisher, error)  { return nil, nil }
func (p *Publisher) Publish(ctx context.Context, o order.Order) error { return ErrNotStored }
func (p *Publisher) Probe(ctx context.Context) error                  { return ErrNotStored }
func (p *Publisher) Close(ctx context.Context) error                  { return nil }

type SubscriberOptions struct {
	Handle       func(ctx context.Context, batch []Message) error
	Handlers     int
	DrainTimeout time.Duration
	Observe      func(event string, messages int)
}
type Subscriber struct{}

func NewSubscriber(o Options, s SubscriberOptions) (*Subscriber, error) { return nil, nil }
func (s *Subscriber) Run(ctx context.Context) error                     { return nil }

type Admin struct{}

func NewAdmin(o Options) (*Admin, error)                            { return nil, nil }
func (a *Admin) EnsureTopics(ctx context.Context, queues int) error { return nil }
func (a *Admin) MaxOffsets(ctx context.Context) (Offsets, error)    { return nil, nil }
func (a *Admin) Committed(ctx context.Context) (Offsets, error)     { return nil, nil }
func (a *Admin) Lag(ctx context.Context) (int64, error)             { return 0, nil }
func (a *Admin) Ping(ctx context.Context) error                     { return nil }
func (a *Admin) Close()                                             {}
