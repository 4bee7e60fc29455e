package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/sink"
)

// ReplayRequest selects the dead letters to replay.
type ReplayRequest struct {
	Topic  string
	Filter DeadLetterFilter
	// IncludeReplayed replays dead letters again that were replayed before: those of Filter.Positions, or all if it is
	// nil.
	IncludeReplayed bool
	// IncludeSuperseded also sends records of a sink that have a newer record of the same key.
	IncludeSuperseded bool
	// DryRun processes dead letters without sending or storing anything. Plugins are opened, which may read the
	// service's metadata; schemas are not registered.
	DryRun   bool
	notFound map[DeadLetterPosition]bool
}

// ReplayResult is the result of a replay.
type ReplayResult struct {
	// Replayed counts dead letters that were sent; Rejected counts those that became dead letters again.
	Replayed, Rejected int
	// Skipped counts dead letters that could not be replayed, by reason.
	Skipped    map[string]int
	Rejections []Rejection
}

const maxReplayedRanges = 10_000

// Replay sends dead letters through their connectors, which need not run: rows of a source to their topics, records of
// a sink to the service. Dead letters that are rejected again return to the topic. Those that arrive during the replay
// are left for the next one.
func (h *Herder) Replay(ctx context.Context, r ReplayRequest) (ReplayResult, error) {
	result := ReplayResult{Skipped: map[string]int{}}
	reader, err := kafka.NewReader(h.shared.Kafka)
	if err != nil {
		return result, err
	}
	defer reader.Close()
	names := map[string]bool{}
	r.notFound = maps.Clone(r.Filter.Positions)
	ends, err := reader.Read(ctx, r.Topic, kafka.ReadOptions{}, func(record *kgo.Record) error {
		deadLetter := ParseDeadLetter(record)
		if !r.Filter.Matches(&deadLetter) {
			return nil
		}
		if _, err := h.find(deadLetter.Connector); err == nil {
			names[deadLetter.Connector] = true
			return nil
		}
		reason := "of connector " + strconv.Quote(deadLetter.Connector) + ", which is not configured"
		if deadLetter.Connector == "" {
			reason = "without the headers of errors.deadletterqueue.context.headers.enable"
		}
		result.Skipped[reason]++
		delete(r.notFound, deadLetter.position())
		return nil
	})
	if err != nil {
		return result, err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := h.openAndReplay(ctx, name, reader, ends, r, &result); err != nil {
			return result, fmt.Errorf("connector %s: %w", name, err)
		}
	}
	if count := len(r.notFound); count > 0 {
		missing := slices.SortedFunc(maps.Keys(r.notFound), func(a, b DeadLetterPosition) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		result.Skipped["that are not in the topic, belong to another connector, or were replayed "+
			"before: "+strings.Trim(fmt.Sprint(missing), "[]")] = count
	}
	return result, nil
}

func (h *Herder) openAndReplay(ctx context.Context, name string, reader *kafka.Reader, ends kafka.Positions,
	r ReplayRequest, result *ReplayResult) error {
	ctl, err := h.find(name)
	if err != nil { // deleted while the topic was read
		return ErrUnknownConnector
	}
	run, err := ctl.openDetachedRun(ctx)
	if err != nil {
		return err
	}
	defer run.closeOffsets()
	if run.configErr != nil {
		return run.configErr
	}
	run.clients.registries.ctx, run.clients.dryRun = ctx, r.DryRun
	if _, err := run.reloadSecrets(); err != nil {
		return err
	}
	if err := run.openService(ctx); err != nil {
		return err
	}
	defer run.clients.client.Close()
	if r.DryRun {
		if err := run.clients.offsets.Refresh(ctx); err != nil {
			return err
		}
		return run.replayDeadLetters(ctx, nil, reader, ends, r, result)
	}
	if err := run.openTopicAdmin(); err != nil {
		return err
	}
	if run.clients.admin != nil {
		defer run.clients.admin.Close()
	}
	lock, err := kafka.AcquireGroupLock(ctx, h.shared.Kafka, config.ConsumerGroup(replayOwnerPrefix+name),
		h.shared.Worker.Text("offset.storage.topic"))
	if errors.Is(err, kafka.ErrLocked) {
		return fmt.Errorf("%w by another process: %w", ErrReplayInProgress, err)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx = lock.Context()
	if err := run.clients.offsets.RefreshCommitted(ctx); err != nil {
		return err
	}
	return run.replayDeadLetters(ctx, lock, reader, ends, r, result)
}

// replayDeadLetters sends the connector's dead letters while it has the lock.
func (run *connectorRun) replayDeadLetters(ctx context.Context, lock sink.Lock, reader *kafka.Reader,
	ends kafka.Positions, r ReplayRequest, result *ReplayResult) error {
	var all []*partitionReplay
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		p := &partitionReplay{connectorRun: run, lock: lock, reader: reader, request: r, partition: partition,
			end:    ends[partition],
			result: result}
		if err := p.load(ctx); err != nil {
			return err
		}
		all = append(all, p)
	}
	if run.isSink() {
		records := newRecordIndex(run.clients.kafka)
		defer records.close()
		if err := indexRecords(ctx, all, records); err != nil {
			return err
		}
	}
	for _, p := range all {
		if err := p.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func indexRecords(ctx context.Context, all []*partitionReplay, records *recordIndex) error {
	each := func(visit func(*partitionReplay, *DeadLetter) error) error {
		for _, p := range all {
			p.records = records
			_, err := p.reader.Read(ctx, p.request.Topic, kafka.ReadOptions{To: kafka.Positions{p.partition: p.end}},
				func(r *kgo.Record) error {
					if deadLetter := ParseDeadLetter(r); deadLetter.Connector == p.connectorRun.config.Name {
						return visit(p, &deadLetter)
					}
					return nil
				})
			if err != nil {
				return err
			}
		}
		return nil
	}
	requested := map[recordID]bool{} // even if other dead letters of these records were replayed
	err := each(func(p *partitionReplay, l *DeadLetter) error {
		if p.request.IncludeReplayed && p.request.Filter.Positions[l.position()] {
			requested[l.recordID()] = true
		}
		return records.add(l, p.state.isDone(l.Record.Offset), p.state.inDoubt[l.Record.Offset])
	})
	for id := range requested {
		state := records.states[id]
		state.settled = -1
		records.states[id] = state
	}
	if err != nil || all[0].request.IncludeSuperseded {
		return err
	}
	err = each(func(p *partitionReplay, l *DeadLetter) error {
		if p.request.Filter.Matches(l) && !records.isDone(l) && p.skipReason(l) == "" {
			records.watchNewer(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return records.readNewer(ctx)
}
