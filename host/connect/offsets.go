package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// ErrNotStopped is the error of a change of offsets under tasks, which would write theirs over it.
var ErrNotStopped = errors.New("the connector is not stopped, or its tasks have not ended yet")

// GroupBusyError is the error of a change of a sink's offsets while its group has members.
type GroupBusyError struct{ Group, Members string }

func (e *GroupBusyError) Error() string {
	return fmt.Sprintf("expected group %s without members, found %s", e.Group, e.Members)
}

// Offsets are where a connector stands: a source by what is stored, a sink by what its group has committed.
func (h *Herder) Offsets(ctx context.Context, name string) ([]offset.Entry, error) {
	k, err := h.find(name)
	if err != nil {
		return nil, err
	}
	c, err := k.apart(ctx)
	if err != nil {
		return nil, err
	}
	defer c.closeOffsets()
	if !c.isSink() {
		if err := c.run.offsets.Refresh(ctx); err != nil {
			return nil, err
		}
		return c.run.offsets.Sorted(ctx, name)
	}
	admin, err := kafka.NewConsumerAdmin(c.run.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	committed, err := admin.Committed(ctx, c.group())
	if err != nil {
		return nil, err
	}
	var places []offset.SinkPosition
	for topic, at := range committed {
		for partition, next := range at {
			places = append(places, offset.SinkPosition{Topic: topic, Partition: partition, Offset: next})
		}
	}
	slices.SortFunc(places, func(a, b offset.SinkPosition) int {
		return 2*strings.Compare(a.Topic, b.Topic) + int(min(max(a.Partition-b.Partition, -1), 1))
	})
	var entries []offset.Entry
	for _, p := range places {
		entries = append(entries, p.Entry())
	}
	return entries, nil
}

// Fingerprints are what the stored offsets of a source belong to.
func (h *Herder) Fingerprints(ctx context.Context, name string) (all []string, err error) {
	entries, err := h.Offsets(ctx, name)
	for _, e := range entries {
		if fingerprint, some := source.Fingerprint(e.Offset); some {
			all = append(all, fingerprint)
		}
	}
	return all, err
}

// ChangedFeeds says of feeds that a source would have which of them do not own what is stored for them, by their names,
// with what differs in the words of the plugin (P7).
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

// AlterOffsets sets offsets of a connector that is stopped; an Offset of nil deletes. The plugin of a source has to
// know their form. What is stored with a sink's offset, such as what is settled after it, is dropped with it: it
// counts from an offset that is another one now. Errors of what was given are an [offset.Invalid].
func (h *Herder) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return h.atStop(ctx, name, func(c *connector) error {
		if c.isSink() {
			return c.alterSink(ctx, entries)
		}
		if err := c.overtake(ctx); err != nil {
			return err
		}
		return c.alterSource(ctx, entries)
	})
}

// ResetOffsets deletes all offsets of a connector that is stopped: a source reads everything again, a sink what its
// topics hold.
func (h *Herder) ResetOffsets(ctx context.Context, name string) error {
	return h.atStop(ctx, name, func(c *connector) error {
		if !c.isSink() {
			if err := c.overtake(ctx); err != nil {
				return err
			}
			return c.run.offsets.Reset(ctx, name)
		}
		admin, err := c.vacant(ctx)
		if err != nil {
			return err
		}
		defer admin.Close()
		return admin.DeleteGroup(ctx, c.group())
	})
}

// overtake keeps tasks of a source with transactional producers from committing offsets over those that are about to be
// changed: of a worker that was paused, for example. What they have committed before is known then.
func (c *connector) overtake(ctx context.Context) error {
	c.run.transactional = c.transactional(nil)
	if c.o.Group == nil && c.run.transactional == 0 {
		return nil
	}
	if err := c.fence(ctx, 0); err != nil {
		return err
	}
	return c.run.offsets.RefreshCommitted(ctx)
}

// apart is the connector for questions while its tasks run, or do not.
func (k *controller) apart(ctx context.Context) (c *connector, err error) {
	if c = k.another(); c.class.unknown != nil {
		return nil, c.class.unknown
	}
	if err = c.override(ctx); err != nil {
		return nil, err
	}
	return c, c.openOffsets(ctx)
}

// atStop does something about a connector while it is stopped: in its loop, so that it is not resumed meanwhile.
func (h *Herder) atStop(ctx context.Context, name string, do func(*connector) error) error {
	k, err := h.find(name)
	if err != nil {
		return err
	}
	if !h.loops() { // nothing of it runs
		c, err := k.apart(ctx)
		if err != nil {
			return err
		}
		defer c.closeOffsets()
		return do(c)
	}
	return k.whileStopped(ctx, changeWithin, false, func(doing context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(doing, cancel)() // which calls cancel alone
		return guard.Do(k.log, "a change of offsets", func() error {
			c, err := k.apart(ctx)
			if err != nil {
				return err
			}
			defer c.closeOffsets()
			return do(c)
		})
	})
}

// changeWithin bounds a change of offsets, during which the connector is not resumed.
const changeWithin = 2 * time.Minute

// whileStopped does something in the place of a run, once the connector is stopped: where its tasks still stop, or
// something else is done in that place, that is waited for. It returns what do comes to, [ErrNotStopped] where the
// connector is not to be stopped, or when ctx ends. What was begun goes on when ctx ends; it ends by its own context,
// with yields also when the connector is resumed.
func (k *controller) whileStopped(ctx context.Context, within time.Duration, yields bool,
	do func(context.Context) error) error {
	answer := make(chan error, 1)
	var ask func()
	ask = func() {
		k.post(occurrence{prior: func(loop context.Context) {
			switch {
			case ctx.Err() != nil:
				answer <- ctx.Err() // nobody waits for it
			case k.desired().target != Stopped:
				answer <- ErrNotStopped
			case k.activity != nil:
				k.atEnd = append(k.atEnd, ask)
			case !k.stopped():
				answer <- ErrNotStopped
			default:
				k.instead(loop, within, yields, func(ctx context.Context) {
					err := ErrNotStopped // where it breaks off
					defer func() { answer <- err }()
					err = do(ctx)
				})
			}
		}})
	}
	ask()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-k.done:
		return ErrNotStopped
	}
}

// origin is where the connector's service is by its settings; "" where a destination says.
func (c *connector) origin() string {
	roles := config.NewRoles(c.class.declared, c.given)
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

// pathForm says how to write what stands in an offset as an absolute URL, where nobody knows yet on which origin paths
// stand; "" where that is known, or there is none.
func (c *connector) pathForm(fields []wit.OffsetEntry) string {
	absolute := func(f wit.OffsetEntry) bool {
		return f.Value.String != nil &&
			strings.Contains(*f.Value.String, "://")
	}
	if c.origin() != "" || !slices.ContainsFunc(fields, absolute) {
		return ""
	}
	return "; a destination says where the service is, and is asked at the connector's start: here give the path " +
		"with its query, which begins with /, in place of an absolute URL"
}

func (c *connector) alterSource(ctx context.Context, entries []offset.Entry) error {
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
		e.Offset = offset.RelativeToOrigin(e.Offset, c.origin())
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
			return fmt.Errorf("partition %s: the plugin refuses the offset: %w%s",
				offset.AppendJSON(nil, e.Partition), err, c.pathForm(e.Offset))
		}
		if _, known, _ := c.run.offsets.Get(ctx, c.given.Name, e.Partition); !known {
			c.log.Warn("an offset is set for a partition that has none yet: a misspelt one is read by nothing",
				"partition", string(offset.AppendJSON(nil, e.Partition)))
		}
	}
	return c.run.offsets.Alter(ctx, c.given.Name, entries...)
}

// vacant is an administrator for the group of a sink, which has no members.
func (c *connector) vacant(ctx context.Context) (*kafka.Admin, error) {
	admin, err := kafka.NewConsumerAdmin(c.run.kafka)
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

// bounds are where the partitions of a topic begin and end.
func bounds(ctx context.Context, admin *kafka.Admin, topic string) (starts, ends kafka.Positions, err error) {
	if starts, err = admin.StartOffsets(ctx, topic); err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	all, err := admin.EndOffsets(ctx, true, topic)
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	return starts, all[topic], nil
}

func (c *connector) alterSink(ctx context.Context, entries []offset.Entry) error {
	places := map[string]map[int32]int64{}
	for _, e := range entries {
		p, err := offset.ParseSinkPosition(e)
		if err != nil {
			return err
		}
		if places[p.Topic] == nil {
			places[p.Topic] = map[int32]int64{}
		}
		places[p.Topic][p.Partition] = p.Offset
	}
	admin, err := c.vacant(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	set, gone := map[string]kafka.Positions{}, map[string][]int32{}
	for topic, partitions := range places {
		var starts, ends kafka.Positions
		for partition, at := range partitions {
			if at >= 0 && ends == nil { // a place in a topic that is gone can be deleted
				if starts, ends, err = bounds(ctx, admin, topic); err != nil {
					return err
				}
			}
			end, there := ends[partition]
			switch start := starts[partition]; {
			case at < 0:
				gone[topic] = append(gone[topic], partition)
				continue
			case !there:
				return fmt.Errorf("expected a partition that exists, found %s-%d", topic, partition)
			case at < start || at > end:
				// Kafka Connect takes it, and the consumer goes by auto.offset.reset then: everything comes again.
				return &offset.InvalidError{Message: fmt.Sprintf(
					"kafka_offset %d of %s-%d: expected an offset from %d to %d, "+
						"which are those that the partition has", at, topic, partition, start, end)}
			}
			if set[topic] == nil {
				set[topic] = kafka.Positions{}
			}
			set[topic][partition] = at
		}
	}
	if len(set) > 0 {
		if err := admin.CommitOffsets(ctx, c.group(), set); err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		return admin.DeleteOffsets(ctx, c.group(), gone)
	}
	return nil
}
