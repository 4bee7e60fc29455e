package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

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
	ctl, err := h.find(name)
	if err != nil {
		return nil, err
	}
	run, err := ctl.openDetachedRun(ctx)
	if err != nil {
		return nil, err
	}
	defer run.closeOffsets()
	if !run.isSink() {
		if err := run.clients.offsets.Refresh(ctx); err != nil {
			return nil, err
		}
		return run.clients.offsets.Sorted(ctx, name)
	}
	admin, err := kafka.NewConsumerAdmin(run.clients.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	committed, err := admin.Committed(ctx, run.group())
	if err != nil {
		return nil, err
	}
	var positions []offset.SinkPosition
	for topic, partitions := range committed {
		for partition, next := range partitions {
			positions = append(positions, offset.SinkPosition{Topic: topic, Partition: partition, Offset: next})
		}
	}
	slices.SortFunc(positions, func(a, b offset.SinkPosition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var entries []offset.Entry
	for _, p := range positions {
		entries = append(entries, p.Entry())
	}
	return entries, nil
}

// Fingerprints returns the fingerprints of a source's stored offsets.
func (h *Herder) Fingerprints(ctx context.Context, name string) (fingerprints []string, err error) {
	entries, err := h.Offsets(ctx, name)
	for _, entry := range entries {
		if fingerprint, ok := source.Fingerprint(entry.Offset); ok {
			fingerprints = append(fingerprints, fingerprint)
		}
	}
	return fingerprints, err
}

// StoredFeed describes the stored offset of a feed. The zero value means that no offset is stored.
type StoredFeed struct {
	Offset  []wit.OffsetEntry // the plugin's fields
	Changed []string          // in the plugin's words, which settings have changed since the offset was stored
}

// StoredFeeds returns the stored offsets of feeds by name, without offsets that cannot be parsed.
func (h *Herder) StoredFeeds(ctx context.Context, name string, feeds []wit.Feed) (map[string]StoredFeed, error) {
	entries, err := h.Offsets(ctx, name)
	offsets := map[string][]wit.OffsetEntry{}
	for _, entry := range entries {
		offsets[offset.Identity(entry.Partition)] = entry.Offset
	}
	storedFeeds := map[string]StoredFeed{}
	for i := range feeds {
		stored := offsets[offset.Identity(feeds[i].Partition)]
		fields, invalid := source.PluginFields(stored)
		if stored == nil || invalid != nil {
			continue // the start reports it
		}
		changed := source.FingerprintDiff(stored, &feeds[i])
		storedFeeds[feeds[i].Name] = StoredFeed{Offset: fields, Changed: changed}
	}
	return storedFeeds, err
}

// AlterOffsets sets offsets of a stopped connector. An entry with a nil Offset deletes. The source's plugin checks
// them. The metadata of a sink's offset is dropped, because it refers to the previous offset. Invalid input is an
// [offset.InvalidError].
func (h *Herder) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return h.withStoppedRun(ctx, name, func(run *connectorRun) error {
		if run.isSink() {
			return run.alterSink(ctx, entries)
		}
		if err := run.fenceOffsets(ctx); err != nil {
			return err
		}
		return run.alterSource(ctx, entries)
	})
}

// ResetOffsets deletes all offsets of a stopped connector.
func (h *Herder) ResetOffsets(ctx context.Context, name string) error {
	return h.withStoppedRun(ctx, name, func(run *connectorRun) error {
		if !run.isSink() {
			if err := run.fenceOffsets(ctx); err != nil {
				return err
			}
			return run.clients.offsets.Reset(ctx, name)
		}
		admin, err := run.emptyGroupAdmin(ctx)
		if err != nil {
			return err
		}
		defer admin.Close()
		return admin.DeleteGroup(ctx, run.group())
	})
}

// fenceOffsets fences tasks that could commit older offsets later, and reads the offsets that they have committed.
func (run *connectorRun) fenceOffsets(ctx context.Context) error {
	run.clients.producersPerTask = run.producersFor(nil)
	if !run.options.Group.InGroup() && run.clients.producersPerTask == 0 { // in a group, earlier plans may have claims
		return nil
	}
	if err := run.fence(ctx, 0); err != nil {
		return err
	}
	return run.clients.offsets.RefreshCommitted(ctx)
}

// openDetachedRun creates a run for queries while tasks may run. Call closeOffsets at the end.
func (ctl *controller) openDetachedRun(ctx context.Context) (run *connectorRun, err error) {
	if run = ctl.newDetachedRun(); run.config.Class.RunError() != nil {
		return nil, run.config.Class.RunError()
	}
	if err = run.configureKafka(ctx); err != nil {
		return nil, err
	}
	return run, run.openOffsets(ctx)
}

// withStoppedRun calls do while the connector cannot be resumed. It returns [ErrNotStopped] if it is not stopped.
func (h *Herder) withStoppedRun(ctx context.Context, name string, do func(*connectorRun) error) error {
	ctl, err := h.find(name)
	if err != nil {
		return err
	}
	if !h.isRunning() { // no loop runs
		run, err := ctl.openDetachedRun(ctx)
		if err != nil {
			return err
		}
		defer run.closeOffsets()
		return do(run)
	}
	return ctl.runWhenStopped(ctx, offsetChangeTimeout, waitForAction, func(actionCtx context.Context) error {
		ctx, cancel := context.WithCancel(ctx) // ends with the request or the action
		defer cancel()
		defer context.AfterFunc(actionCtx, cancel)()
		return guard.Do(ctl.log, "a change of offsets", func() error {
			run, err := ctl.openDetachedRun(ctx)
			if err != nil {
				return err
			}
			defer run.closeOffsets()
			return do(run)
		})
	})
}

const offsetChangeTimeout = 2 * time.Minute

// runWhenStopped waits until stopping tasks and other exclusive actions have ended, calls do in place of a run, and
// returns its error. It returns [ErrNotStopped] if the target state is not Stopped. If ctx ends first, do continues;
// its own context ends after timeout and, with cancelOnStart, when the connector is resumed.
func (ctl *controller) runWhenStopped(ctx context.Context, timeout time.Duration, onStart startPolicy,
	do func(context.Context) error) error {
	answer := make(chan error, 1)
	var attempt func()
	attempt = func() {
		ctl.enqueue(event{apply: func(loop context.Context) {
			switch {
			case ctx.Err() != nil:
				answer <- ctx.Err() // the caller has returned
			case ctl.desiredSpec().target != Stopped:
				answer <- ErrNotStopped
			case ctl.activity != nil:
				ctl.whenIdle = append(ctl.whenIdle, attempt)
			case !ctl.isStopped():
				answer <- ErrNotStopped
			default:
				ctl.runExclusive(loop, timeout, onStart, func(ctx context.Context) {
					err := ErrNotStopped // in case of a panic
					defer func() { answer <- err }()
					err = do(ctx)
				})
			}
		}})
	}
	attempt()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-ctl.done:
		return ErrNotStopped
	}
}

// serviceOrigin returns the origin of the connector's service. It returns "" if only a destination knows the origin.
func (run *connectorRun) serviceOrigin() string {
	roles := run.accepted.Roles()
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

// pathHint returns the end of an error about an offset, if an absolute URL in its fields may be the cause.
func (run *connectorRun) pathHint(fields []wit.OffsetEntry) string {
	isAbsolute := func(field wit.OffsetEntry) bool {
		return field.Value.String != nil && strings.Contains(*field.Value.String, "://")
	}
	if run.serviceOrigin() != "" || !slices.ContainsFunc(fields, isAbsolute) {
		return ""
	}
	return "; the destination is looked up at the connector's start only: specify the path " +
		"with its query, which begins with /, instead of an absolute URL"
}

func (run *connectorRun) alterSource(ctx context.Context, entries []offset.Entry) error {
	binding, err := run.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	entries = slices.Clone(entries)
	for i := range entries {
		entry := &entries[i]
		if entry.Partition == nil {
			return errors.New("Partition objects cannot be null")
		}
		if entry.Offset == nil {
			continue
		}
		entry.Offset = offset.RelativeToOrigin(entry.Offset, run.serviceOrigin())
		fields, err := source.PluginFields(entry.Offset)
		if err != nil {
			return err
		}
		if len(fields) == 0 {
			return fmt.Errorf("partition %s: expected an offset with fields, or null to delete it, found {}",
				offset.AppendJSON(nil, entry.Partition))
		}
		err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
			return i.CheckOffset(ctx, entry.Partition, fields)
		})
		if err != nil {
			return fmt.Errorf("partition %s: the plugin rejects the offset: %w%s",
				offset.AppendJSON(nil, entry.Partition), err, run.pathHint(entry.Offset))
		}
		if _, exists, _ := run.clients.offsets.Get(ctx, run.accepted.Name, entry.Partition); !exists {
			run.log.Warn("an offset was set for a source partition that had none: check the spelling of the partition",
				"partition", string(offset.AppendJSON(nil, entry.Partition)))
		}
	}
	return run.clients.offsets.Alter(ctx, run.accepted.Name, entries...)
}

// emptyGroupAdmin returns a client if the consumer group has no members. The caller closes it.
func (run *connectorRun) emptyGroupAdmin(ctx context.Context) (*kafka.Admin, error) {
	admin, err := kafka.NewConsumerAdmin(run.clients.kafka)
	if err != nil {
		return nil, err
	}
	members, err := admin.Members(ctx, run.group())
	if err == nil && len(members) > 0 {
		err = &GroupBusyError{Group: run.group(), Members: strings.Join(members, ", ")}
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
	endsByTopic, err := admin.EndOffsets(ctx, true, topic)
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	return starts, endsByTopic[topic], nil
}

func (run *connectorRun) alterSink(ctx context.Context, entries []offset.Entry) error {
	requested := map[string]map[int32]int64{}
	for _, entry := range entries {
		p, err := offset.ParseSinkPosition(entry)
		if err != nil {
			return err
		}
		if requested[p.Topic] == nil {
			requested[p.Topic] = map[int32]int64{}
		}
		requested[p.Topic][p.Partition] = p.Offset
	}
	admin, err := run.emptyGroupAdmin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	newOffsets := map[string]kafka.Positions{}
	deletions := map[string][]int32{}
	for topic, partitions := range requested {
		var starts, ends kafka.Positions
		for partition, next := range partitions {
			if next >= 0 && ends == nil { // -1 deletes, also offsets of a deleted topic
				if starts, ends, err = partitionBounds(ctx, admin, topic); err != nil {
					return err
				}
			}
			end, ok := ends[partition]
			switch start := starts[partition]; {
			case next < 0:
				deletions[topic] = append(deletions[topic], partition)
				continue
			case !ok:
				return fmt.Errorf("expected a partition that exists, found %s-%d", topic, partition)
			case next < start || next > end:
				// Kafka Connect accepts it; then auto.offset.reset may read everything again.
				return &offset.InvalidError{Message: fmt.Sprintf("kafka_offset %d of %s-%d: expected an offset from "+
					"%d to %d, the range of the partition", next, topic, partition, start, end)}
			}
			if newOffsets[topic] == nil {
				newOffsets[topic] = kafka.Positions{}
			}
			newOffsets[topic][partition] = next
		}
	}
	if len(newOffsets) > 0 {
		if err := admin.CommitOffsets(ctx, run.group(), newOffsets); err != nil {
			return err
		}
	}
	if len(deletions) > 0 {
		return admin.DeleteOffsets(ctx, run.group(), deletions)
	}
	return nil
}
