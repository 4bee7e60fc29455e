package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// ErrNotStopped means that offsets cannot be changed while tasks may overwrite them.
var ErrNotStopped = errors.New("the connector is not stopped, or its tasks have not ended yet")

// GroupBusyError means that the consumer group of a sink still has members.
type GroupBusyError struct{ Group, Members string }

func (e *GroupBusyError) Error() string {
	return fmt.Sprintf("expected group %s without members, found %s", e.Group, e.Members)
}

// Offsets returns the stored offsets of a source or the committed offsets of a sink.
func (h *Herder) Offsets(ctx context.Context, name string) ([]offset.Entry, error) {
	k, err := h.find(name)
	if err != nil {
		return nil, err
	}
	c, err := k.openDetachedRun(ctx)
	if err != nil {
		return nil, err
	}
	defer c.closeOffsets()
	if !c.isSink() {
		if err := c.clients.offsets.Refresh(ctx); err != nil {
			return nil, err
		}
		return c.clients.offsets.Sorted(ctx, name)
	}
	admin, err := kafka.NewConsumerAdmin(c.clients.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	committed, err := admin.Committed(ctx, c.group())
	if err != nil {
		return nil, err
	}
	var positions []offset.SinkPosition
	for topic, at := range committed {
		for partition, next := range at {
			positions = append(positions, offset.SinkPosition{Topic: topic, Partition: partition, Offset: next})
		}
	}
	slices.SortFunc(positions, func(a, b offset.SinkPosition) int {
		return 2*strings.Compare(a.Topic, b.Topic) + int(min(max(a.Partition-b.Partition, -1), 1))
	})
	var entries []offset.Entry
	for _, p := range positions {
		entries = append(entries, p.Entry())
	}
	return entries, nil
}

// Fingerprints returns the fingerprints of a source's stored offsets.
func (h *Herder) Fingerprints(ctx context.Context, name string) (all []string, err error) {
	entries, err := h.Offsets(ctx, name)
	for _, e := range entries {
		if fingerprint, some := source.Fingerprint(e.Offset); some {
			all = append(all, fingerprint)
		}
	}
	return all, err
}

// ChangedFeeds returns, by feed, the plugin's description of what differs if a stored offset belongs to other settings
// (P7).
func (h *Herder) ChangedFeeds(ctx context.Context, name string, feeds []wit.Feed) (map[string][]string, error) {
	entries, err := h.Offsets(ctx, name)
	stored := map[string][]wit.OffsetEntry{}
	for _, e := range entries {
		stored[offset.Identity(e.Partition)] = e.Offset
	}
	changed := map[string][]string{}
	for i := range feeds {
		at := stored[offset.Identity(feeds[i].Partition)]
		if differs := source.FingerprintDiff(at, &feeds[i]); differs != nil {
			changed[feeds[i].Name] = differs
		}
	}
	return changed, err
}

// AlterOffsets sets offsets of a stopped connector; a nil Offset deletes. The source's plugin checks them. The metadata
// of a sink's offset is dropped, because it refers to the previous offset. Invalid input is an [offset.InvalidError].
func (h *Herder) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return h.whenStopped(ctx, name, func(c *connectorRun) error {
		if c.isSink() {
			return c.alterSink(ctx, entries)
		}
		if err := c.fenceOffsets(ctx); err != nil {
			return err
		}
		return c.alterSource(ctx, entries)
	})
}

// ResetOffsets deletes all offsets of a stopped connector.
func (h *Herder) ResetOffsets(ctx context.Context, name string) error {
	return h.whenStopped(ctx, name, func(c *connectorRun) error {
		if !c.isSink() {
			if err := c.fenceOffsets(ctx); err != nil {
				return err
			}
			return c.clients.offsets.Reset(ctx, name)
		}
		admin, err := c.emptyGroupAdmin(ctx)
		if err != nil {
			return err
		}
		defer admin.Close()
		return admin.DeleteGroup(ctx, c.group())
	})
}

// fenceOffsets fences tasks that could commit older offsets later, such as those of a paused worker, and reads what
// they have committed.
func (c *connectorRun) fenceOffsets(ctx context.Context) error {
	c.clients.producersPerTask = c.producersFor(nil)
	if c.options.Group == nil && c.clients.producersPerTask == 0 {
		return nil
	}
	if err := c.fence(ctx, 0); err != nil {
		return err
	}
	return c.clients.offsets.RefreshCommitted(ctx)
}

// openDetachedRun creates a run for queries while tasks may run. Call closeOffsets at the end.
func (k *controller) openDetachedRun(ctx context.Context) (c *connectorRun, err error) {
	if c = k.newDetachedRun(); c.class.err != nil {
		return nil, c.class.err
	}
	if err = c.configureKafka(ctx); err != nil {
		return nil, err
	}
	return c, c.openOffsets(ctx)
}

// whenStopped calls do while the connector is stopped and cannot be resumed.
func (h *Herder) whenStopped(ctx context.Context, name string, do func(*connectorRun) error) error {
	k, err := h.find(name)
	if err != nil {
		return err
	}
	if !h.isRunning() { // no loop runs
		c, err := k.openDetachedRun(ctx)
		if err != nil {
			return err
		}
		defer c.closeOffsets()
		return do(c)
	}
	return k.runWhenStopped(ctx, offsetChangeTimeout, false, func(doing context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(doing, cancel)() // calls only cancel
		return guard.Do(k.log, "a change of offsets", func() error {
			c, err := k.openDetachedRun(ctx)
			if err != nil {
				return err
			}
			defer c.closeOffsets()
			return do(c)
		})
	})
}

const offsetChangeTimeout = 2 * time.Minute

// runWhenStopped calls do in place of a run once the connector is stopped, after the end of stopping tasks and other
// exclusive actions. It returns [ErrNotStopped] if the target state is not Stopped. If ctx ends first, do continues;
// its own context ends after timeout and, if cancelable is set, when the connector is resumed.
func (k *controller) runWhenStopped(ctx context.Context, timeout time.Duration, cancelable bool,
	do func(context.Context) error) error {
	answer := make(chan error, 1)
	var try func()
	try = func() {
		k.enqueue(event{apply: func(loop context.Context) {
			switch {
			case ctx.Err() != nil:
				answer <- ctx.Err() // the caller has returned
			case k.desired().target != Stopped:
				answer <- ErrNotStopped
			case k.activity != nil:
				k.whenIdle = append(k.whenIdle, try)
			case !k.isStopped():
				answer <- ErrNotStopped
			default:
				k.runExclusive(loop, timeout, cancelable, func(ctx context.Context) {
					err := ErrNotStopped // in case of a panic
					defer func() { answer <- err }()
					err = do(ctx)
				})
			}
		}})
	}
	try()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-k.done:
		return ErrNotStopped
	}
}

func (c *connectorRun) serviceOrigin() string {
	roles := config.NewRoles(c.class.declarations, c.accepted)
	host := roles.Text(role.Address)
	if roles.Has(role.Destination) || host == "" {
		return ""
	}
	scheme := strings.ToLower(roles.Text(role.Scheme))
	if scheme == "" {
		scheme = "https"
	}
	if port := roles.Text(role.Port); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return scheme + "://" + host
}

func (c *connectorRun) pathHint(fields []wit.OffsetEntry) string {
	absolute := func(f wit.OffsetEntry) bool {
		return f.Value.String != nil &&
			strings.Contains(*f.Value.String, "://")
	}
	if c.serviceOrigin() != "" || !slices.ContainsFunc(fields, absolute) {
		return ""
	}
	return "; the destination is looked up at the connector's start only: specify the path " +
		"with its query, which begins with /, instead of an absolute URL"
}

func (c *connectorRun) alterSource(ctx context.Context, entries []offset.Entry) error {
	binding, err := c.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		if e.Partition == nil {
			return errors.New("Partition objects cannot be null")
		}
		if e.Offset == nil {
			continue
		}
		e.Offset = offset.RelativeToOrigin(e.Offset, c.serviceOrigin())
		fields, err := source.PluginFields(e.Offset)
		if err != nil {
			return err
		}
		if len(fields) == 0 {
			return fmt.Errorf("partition %s: expected an offset with fields, or null to delete it, found {}",
				offset.AppendJSON(nil, e.Partition))
		}
		err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
			return i.CheckOffset(ctx, e.Partition, fields)
		})
		if err != nil {
			return fmt.Errorf("partition %s: the plugin rejects the offset: %w%s",
				offset.AppendJSON(nil, e.Partition), err, c.pathHint(e.Offset))
		}
		if _, known, _ := c.clients.offsets.Get(ctx, c.accepted.Name, e.Partition); !known {
			c.log.Warn("an offset was set for a source partition that had none: check the spelling of the partition",
				"partition", string(offset.AppendJSON(nil, e.Partition)))
		}
	}
	return c.clients.offsets.Alter(ctx, c.accepted.Name, entries...)
}

func (c *connectorRun) emptyGroupAdmin(ctx context.Context) (*kafka.Admin, error) {
	admin, err := kafka.NewConsumerAdmin(c.clients.kafka)
	if err != nil {
		return nil, err
	}
	members, err := admin.Members(ctx, c.group())
	if err == nil && len(members) > 0 {
		err = &GroupBusyError{c.group(), strings.Join(members, ", ")}
	}
	if err != nil {
		admin.Close()
		return nil, err
	}
	return admin, nil
}

func partitionBounds(ctx context.Context, admin *kafka.Admin, topic string) (starts, ends kafka.Positions, err error) {
	if starts, err = admin.StartOffsets(ctx, topic); err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	all, err := admin.EndOffsets(ctx, true, topic)
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	return starts, all[topic], nil
}

func (c *connectorRun) alterSink(ctx context.Context, entries []offset.Entry) error {
	wanted := map[string]map[int32]int64{}
	for _, e := range entries {
		p, err := offset.ParseSinkPosition(e)
		if err != nil {
			return err
		}
		if wanted[p.Topic] == nil {
			wanted[p.Topic] = map[int32]int64{}
		}
		wanted[p.Topic][p.Partition] = p.Offset
	}
	admin, err := c.emptyGroupAdmin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	changed, deleted := map[string]kafka.Positions{}, map[string][]int32{}
	for topic, partitions := range wanted {
		var starts, ends kafka.Positions
		for partition, at := range partitions {
			if at >= 0 && ends == nil { // offsets of a deleted topic can be deleted
				if starts, ends, err = partitionBounds(ctx, admin, topic); err != nil {
					return err
				}
			}
			end, exists := ends[partition]
			switch start := starts[partition]; {
			case at < 0:
				deleted[topic] = append(deleted[topic], partition)
				continue
			case !exists:
				return fmt.Errorf("expected a partition that exists, found %s-%d", topic, partition)
			case at < start || at > end:
				// Kafka Connect accepts it, and the consumer applies auto.offset.reset, which may read everything
				// again.
				return &offset.InvalidError{Message: fmt.Sprintf(
					"kafka_offset %d of %s-%d: expected an offset from %d to %d, "+
						"the range of the partition", at, topic, partition, start, end)}
			}
			if changed[topic] == nil {
				changed[topic] = kafka.Positions{}
			}
			changed[topic][partition] = at
		}
	}
	if len(changed) > 0 {
		if err := admin.CommitOffsets(ctx, c.group(), changed); err != nil {
			return err
		}
	}
	if len(deleted) > 0 {
		return admin.DeleteOffsets(ctx, c.group(), deleted)
	}
	return nil
}
