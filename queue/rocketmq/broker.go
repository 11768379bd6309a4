package rocketmq

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Broker is a master broker and its configuration. Unknown fields are empty; an unknown
// Disk is negative.
type Broker struct {
	Name, Addr string
	Version    string
	Replicas   int
	Role       string // SYNC_MASTER responds when InSync brokers, including itself, have the message
	InSync     int    // inSyncReplicas; 0 if unknown
	Flush      string // SYNC_FLUSH responds when the message is on the disk
	// Disk is the used part of the disk with the messages, 0 to 1.
	Disk float64
	// AutoCreate creates a topic even if its name is a typing error. CleanForcibly
	// deletes unread messages when the disk is nearly full.
	AutoCreate, CleanForcibly bool
	// Permission is brokerPermission: 6 reads and writes, 4 only reads, 2 only writes.
	Permission int
}

// Brokers returns every master broker, by name.
func (a *Admin) Brokers(ctx context.Context) ([]Broker, error) {
	known, err := a.rpc.cluster(ctx, a.opts.NameServers)
	if err != nil {
		return nil, err
	}
	var all []Broker
	for _, name := range slices.Sorted(maps.Keys(known)) {
		addr := known[name].Addrs["0"]
		if addr == "" {
			continue // replicas without a master
		}
		b, err := a.broker(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", name, err)
		}
		b.Name, b.Addr, b.Replicas = name, addr, len(known[name].Addrs)-1
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, ErrNoBroker
	}
	return all, nil
}

func (a *Admin) broker(ctx context.Context, addr string) (Broker, error) {
	status, err := a.rpc.call(ctx, addr, codeRuntimeInfo, nil)
	if err != nil {
		return Broker{}, err
	}
	config, err := a.rpc.call(ctx, addr, codeBrokerConfig, nil)
	if err != nil {
		return Broker{}, err
	}
	return parseBroker(status.body, config.body)
}

// parseBroker reads the broker's state, which is JSON, and its configuration, which is
// a properties file.
func parseBroker(status, config []byte) (Broker, error) {
	var runtime struct {
		Table map[string]string `json:"table"`
	}
	if err := json.Unmarshal(status, &runtime); err != nil {
		return Broker{}, fmt.Errorf("rocketmq: malformed status: %w", err)
	}
	set := map[string]string{}
	for line := range strings.Lines(string(config)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		set[name] = value
	}
	b := Broker{
		Version: runtime.Table["brokerVersionDesc"], Disk: -1, Role: set["brokerRole"], Flush: set["flushDiskType"],
		AutoCreate: set["autoCreateTopicEnable"] == "true", CleanForcibly: set["cleanFileForciblyEnable"] == "true",
	}
	b.InSync, _ = strconv.Atoi(set["inSyncReplicas"])
	b.Permission, _ = strconv.Atoi(set["brokerPermission"])
	if used, err := strconv.ParseFloat(runtime.Table["commitLogDiskRatio"], 64); err == nil {
		b.Disk = used
	}
	return b, nil
}

// Queues returns how many queues of the orders' topic consumers can read. The error is
// ErrNoTopic if the topic does not exist.
func (a *Admin) Queues(ctx context.Context) (int, error) {
	shards, err := a.rpc.route(ctx, a.opts.NameServers, a.opts.Topic)
	n := 0
	for _, s := range shards {
		n += s.Queues
	}
	return n, err
}
