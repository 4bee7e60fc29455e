package connect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/sink"
)

// sinkRoles are those that a sink's task acts on.
var sinkRoles = []string{"sink.flush.rows", "sink.flush.interval-ms", "sink.in-flight"}

// sink runs a task of a sink.
func (t *task) sink(ctx context.Context, binding *plugin.Binding, once bool) error {
	c := t.connector
	transforms, err := newChains(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	ends, err := newEnds(c)
	if err != nil {
		return err
	}
	defer ends.reader.Close()
	roles := config.NewRoles(config.DeclareComponent(c.component), c.config)
	task := sink.NewTask(sink.Options{
		Connector: c.config.Name, Task: t.number, Component: c.component.Name, Settings: t.settings,
		Versions: sinkVersions{binding}, Client: c.client, Registry: c.o.Registry,
		NewConsumer: func(topics []string, r sink.Rebalances) (sink.Consumer, error) {
			o := t.consumerOptions(topics, r)
			ends.read(o.Topics, o.Regex)
			if once { // what comes from now on is not waited for
				if ends.at, err = ends.find(ctx); err != nil {
					return nil, err
				}
			}
			return kafka.NewConsumer(c.kafka, o)
		},
		NewChain:      transforms.sink(),
		NewConverters: c.converters,
		Rows:          roles.Int("sink.flush.rows"),
		Every:         roles.Duration("sink.flush.interval-ms"),
		InFlight:      roles.Int("sink.in-flight"),
		TolerateAll:   c.tolerateAll(),
		Uncertain:     &c.uncertain,
		Settled:       &c.settled,
		Send:          config.List(c.config.Text("errors.uncertain.send")),
		Skip:          config.List(c.config.Text("errors.uncertain.skip")),
		Once:          once,
		CaughtUp:      ends.reached,
		StopWithin:    c.o.Worker.Duration("task.shutdown.graceful.timeout.ms"),
		Logger:        c.o.Logger,
	})
	var lag atomic.Int64
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	go ends.measure(measuring, &lag)
	t.running(func(p *Progress) {
		now := task.Progress()
		p.Rows, p.Failed, p.version = now.Written, now.Skipped, now.Version
		p.notes = transforms.notes(binding)
		if t.number == 0 { // that of the group, which all tasks are members of
			p.Lag = lag.Load()
		}
		p.CaughtUp = now.Open == 0 && p.Lag == 0
	})
	return task.Run(ctx)
}

// consumerOptions: the connector's own topics go before those that the plugin named.
func (t *task) consumerOptions(topics []string, r sink.Rebalances) kafka.ConsumerOptions {
	c := t.connector
	o := kafka.ConsumerOptions{Group: "connect-" + c.config.Name, ClientID: fmt.Sprintf("connector-consumer-%s-%d", c.config.Name, t.number),
		Topics: config.List(c.config.Text("topics")), Regex: c.config.Text("topics.regex"), Assigned: r.Assigned, Revoked: r.Revoked, Lost: r.Lost, Note: r.Note, Noted: r.Noted}
	if len(o.Topics) == 0 && o.Regex == "" {
		o.Topics = topics
	}
	return o
}

// ends tells when a sink has committed everything up to the ends that its topics had when it began.
type ends struct {
	admin  *kafka.Admin
	reader *kafka.Reader
	group  string
	at     map[string]kafka.Positions

	mu     sync.Mutex
	topics []string
	regex  string
}

// read says which topics it is about.
func (e *ends) read(topics []string, regex string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topics, e.regex = topics, regex
}

func newEnds(c *connector) (*ends, error) {
	reader, err := kafka.NewReader(c.kafka)
	if err != nil {
		return nil, err
	}
	group := c.kafka.Consumer.Group
	if group == "" {
		group = "connect-" + c.config.Name
	}
	return &ends{admin: c.o.Admin, reader: reader, group: group}, nil
}

// reached asks the broker. What lies between the committed offset and the end may be no records at all: marks of transactions.
func (e *ends) reached(ctx context.Context) (bool, error) {
	committed, err := e.committed(ctx)
	if err != nil {
		return false, err
	}
	for topic, to := range e.at {
		empty, err := e.reader.Empty(ctx, topic, committed[topic], to)
		if err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// committed is where the group stands; a group that nobody has joined yet stands nowhere.
func (e *ends) committed(ctx context.Context) (map[string]kafka.Positions, error) {
	committed, err := e.admin.Committed(ctx, e.group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return committed, err
}

// find is where the topics end now. A topic that does not exist has nothing.
func (e *ends) find(ctx context.Context) (map[string]kafka.Positions, error) {
	e.mu.Lock()
	topics, regex := slices.Clone(e.topics), e.regex
	e.mu.Unlock()
	if regex != "" {
		matching, err := regexp.Compile("^(?:" + regex + ")$")
		if err != nil {
			return nil, err
		}
		all, err := e.admin.Topics(ctx)
		if err != nil {
			return nil, err
		}
		for _, topic := range all {
			if matching.MatchString(topic) {
				topics = append(topics, topic)
			}
		}
	}
	at := map[string]kafka.Positions{}
	for _, topic := range topics {
		one, err := e.admin.EndOffsets(ctx, false, topic)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			continue
		}
		if err != nil {
			return nil, err
		}
		at[topic] = one[topic]
	}
	return at, nil
}

// lagEvery is how often the lag is looked at.
const lagEvery = time.Second

// measure keeps the number of records between what is committed and the ends of the topics, until ctx ends.
func (e *ends) measure(ctx context.Context, lag *atomic.Int64) {
	ticker := time.NewTicker(lagEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		at, err := e.find(ctx)
		if err != nil {
			continue
		}
		committed, err := e.committed(ctx)
		if err != nil {
			continue
		}
		var n int64
		for topic, partitions := range at {
			for partition, end := range partitions {
				n += end - committed[topic][partition]
			}
		}
		lag.Store(n)
	}
}

// sinkVersions and sinkCode are what a sink's task knows of plugins.
type sinkVersions struct{ binding *plugin.Binding }

func (v sinkVersions) Current() sink.Code { return sinkCode{v.binding.Current()} }

func (v sinkVersions) Candidate() sink.Code {
	if p := v.binding.Candidate(); p != nil {
		return sinkCode{p}
	}
	return nil
}

func (v sinkVersions) Promote(c sink.Code) { v.binding.Promote(c.(sinkCode).pool) }

func (v sinkVersions) Reject(c sink.Code, reason string) {
	v.binding.Reject(c.(sinkCode).pool, reason)
}

func (v sinkVersions) Again(err error) bool { return v.binding.Again(err) }

type sinkCode struct{ pool *plugin.Pool }

func (c sinkCode) Acquire(ctx context.Context) (sink.Writer, error) {
	i, err := c.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (c sinkCode) Release(w sink.Writer) { c.pool.Release(w.(*plugin.Instance)) }
func (c sinkCode) Version() string       { return c.pool.Module().Version }
