package connect

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Bounds of a batch of dead letters. The result of a batch is stored before the next one.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// partitionReplay sends the dead letters of one connector in one partition again: rows of a source to their topics,
// records of a sink to the service.
type partitionReplay struct {
	connectorRun *connectorRun
	lock         sink.Membership
	reader       *kafka.Reader
	request      ReplayRequest
	partition    int32
	end          int64 // the end offset of the partition when the replay began
	result       *ReplayResult

	next       int64            // the offset at which the next batch starts
	state      replayState      // as stored, and what the current batch has settled
	storedJSON string           // the stored state, which is not written again if it is the same
	records    *recordIndex     // nil for a source
	regex      *pattern.Pattern // topics.regex; nil if it is not set

	mu      sync.Mutex
	refused map[string]bool   // positions of letters that became dead letters again
	written map[recordID]bool // of records of which the service has accepted a row, by position alone
}

func (p *partitionReplay) owner() string { return replayOwnerPrefix + p.connectorRun.config.Name }

func (p *partitionReplay) storageKey() []wit.OffsetEntry {
	return replayPartition(p.request.Topic, p.partition)
}

func (p *partitionReplay) load(ctx context.Context) error {
	run := p.connectorRun
	if regex := run.config.Text("topics.regex"); regex != "" {
		compiled, err := pattern.Compile(regex)
		if err != nil {
			return fmt.Errorf("topics.regex: %w", err)
		}
		p.regex = &compiled
	}
	stored, _, err := run.clients.offsets.Get(ctx, p.owner(), p.storageKey())
	if err != nil {
		return err
	}
	p.storedJSON = string(offset.AppendJSON(nil, stored))
	if !p.request.IncludeReplayed || p.request.Filter.Positions != nil {
		if p.state, err = parseReplayState(stored); err != nil {
			return fmt.Errorf("stored replay state of topic %s, partition %d: %w", p.request.Topic, p.partition, err)
		}
	}
	if !p.state.isOf(p.request.topicID) {
		p.state = replayState{}
	}
	p.state.topicID = cmp.Or(p.request.topicID, p.state.topicID)
	for position := range p.request.Filter.Positions {
		if p.request.IncludeReplayed && position.Partition == p.partition {
			p.state.unmark(position.Offset)
		}
	}
	if p.state.end() > p.end {
		return fmt.Errorf("topic %s, partition %d: expected an end offset after the replayed dead letters (%d), "+
			"found %d: the topic was created again; --again ignores what was "+
			"replayed", p.request.Topic, p.partition, p.state.end(), p.end)
	}
	p.next, _ = p.state.next()
	return nil
}

func (p *partitionReplay) run(ctx context.Context) error {
	run := p.connectorRun
	t := &task{run: run}
	binding, err := run.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	transforms, err := newChainFactory(run)
	if err != nil {
		return err
	}
	defer transforms.close()
	if run.isSink() {
		return p.replaySink(ctx, t, binding, transforms)
	}
	return p.replaySource(ctx, t, binding, transforms)
}

// replayBatch collects the next dead letters of a partition that must be sent.
type replayBatch struct {
	*partitionReplay
	deadLetters []*DeadLetter
	bytes       int
	expected    int64               // the offset after the last read one
	restartAt   int64               // where the next batch starts; -1 means after the last read record
	selected    map[string]recordID // of a sink, by topic, partition and offset
}

func (p *partitionReplay) nextBatch(ctx context.Context) ([]*DeadLetter, error) {
	b := &replayBatch{partitionReplay: p, expected: p.next, restartAt: -1, selected: map[string]recordID{}}
	positions, err := p.reader.Read(ctx, p.request.Topic, kafka.ReadOptions{From: kafka.Positions{p.partition: p.next},
		To: kafka.Positions{p.partition: p.end}}, b.add)
	if err != nil {
		return nil, err
	}
	p.next = positions[p.partition]
	if b.restartAt >= 0 {
		p.next = b.restartAt
	}
	ranges := p.state.ranges()
	p.state.markDone(b.expected, p.next-1)
	if err := p.state.checkBounds(ranges); err != nil {
		return nil, err
	}
	return b.deadLetters, nil
}

// checkRoom returns an error if the state would be too large after all selected dead letters are settled. Each gap has
// a letter, so few letters need no check.
func (p *partitionReplay) checkRoom(ctx context.Context) error {
	if p.end-p.next < maxReplayedRanges {
		return nil
	}
	projected := p.state.clone()
	expected := p.next
	_, err := p.reader.Read(ctx, p.request.Topic, kafka.ReadOptions{From: kafka.Positions{p.partition: p.next},
		To: kafka.Positions{p.partition: p.end}}, func(r *kgo.Record) error {
		l := ParseDeadLetter(r)
		projected.markDone(expected, r.Offset-1)
		expected = r.Offset + 1
		isOther := l.Connector != p.connectorRun.config.Name || (p.records != nil && p.records.isDone(&l))
		if isOther || (p.request.Filter.Matches(&l) && p.skipReason(&l) == "") {
			projected.markDone(r.Offset, r.Offset)
		}
		return nil
	})
	if err != nil {
		return err
	}
	projected.markDone(expected, p.end-1)
	return projected.checkBounds(p.state.ranges())
}

// add returns [kafka.ErrStop] at the end of the batch.
func (b *replayBatch) add(r *kgo.Record) error {
	deadLetter := ParseDeadLetter(r)
	b.state.markDone(b.expected, r.Offset-1) // transaction markers and compacted records
	b.expected = r.Offset + 1
	switch {
	case deadLetter.Connector != b.connectorRun.config.Name:
		b.state.markDone(r.Offset, r.Offset)
		return nil
	case b.state.isDone(r.Offset):
		return nil
	}
	place := fmt.Sprint(deadLetter.Topic, " ", deadLetter.Partition, " ", deadLetter.Offset)
	isDuplicate := false
	if b.records != nil {
		other, isSelected := b.selected[place]
		if isSelected && other != deadLetter.recordID() { // of a recreated topic: one task cannot write both
			b.restartAt = r.Offset
			b.expected = r.Offset
			return kafka.ErrStop
		}
		isDuplicate = isSelected
		if !isSelected && b.records.isDone(&deadLetter) {
			b.state.markDone(r.Offset, r.Offset)
			return nil
		}
	}
	if !b.request.Filter.Matches(&deadLetter) {
		return nil
	}
	delete(b.request.notFound, deadLetter.position())
	if reason := b.skipReason(&deadLetter); reason != "" && !isDuplicate {
		b.result.Kept[reason]++
		return nil
	}
	letter := &deadLetter
	if value := b.request.Value; value != nil {
		letter = deadLetter.withValue(*value)
	}
	if b.records != nil {
		b.selected[place] = deadLetter.recordID()
		b.records.setSelected(deadLetter.recordID(), true)
	}
	b.deadLetters = append(b.deadLetters, letter)
	b.bytes += len(r.Key) + len(r.Value)
	if len(b.deadLetters) >= batchRecords || b.bytes >= batchBytes {
		return kafka.ErrStop
	}
	return nil
}

// skipReason explains why a dead letter cannot be replayed; "" means that it can. Headers are not trusted: rows go only
// to topics of the connector.
func (p *partitionReplay) skipReason(deadLetter *DeadLetter) string {
	run := p.connectorRun
	switch {
	case deadLetter.Stage == "":
		return "that another program has written in an unknown format"
	case deadLetter.HeaderError != nil:
		return "with a header that cannot be read"
	}
	topicRole := role.SourceTopic
	topics := config.List(run.config.Text("topics"))
	if run.isSink() {
		topicRole = role.SinkTopic
		if deadLetter.Partition < 0 || deadLetter.Offset < 0 {
			return "without the position of their record"
		}
		switch superseded := p.records.isSuperseded(deadLetter); {
		case !p.canSendValue(deadLetter.recordID()):
			return keptOtherValue
		case p.records.contradictory[deadLetter.recordID()]:
			return "of records whose dead letters contradict each other about their number of rows"
		case superseded && deadLetter.Record.Key == nil:
			return "of records without a key, whose topic has later records that may be of the same entity and would " +
				"be overwritten: --older sends them anyway"
		case superseded:
			return "of records that have a later one of the same key, which would be overwritten: " +
				"--older sends them anyway"
		}
		if p.regex != nil {
			if matches, err := config.MatchesTopic(*p.regex, deadLetter.Topic); err != nil || !matches {
				return fmt.Sprintf("of topic %q, which topics.regex of connector %s does not match", deadLetter.Topic,
					run.config.Name)
			}
			return ""
		}
	}
	declarations := run.class.declarations
	for _, e := range run.config.Entries {
		if spec, ok := declarations.Find(e.Key); ok && spec.Role() == topicRole {
			topics = append(topics, setting.Trim(e.Value.Reveal()))
		}
	}
	if len(topics) > 0 && !slices.Contains(topics, deadLetter.Topic) {
		return fmt.Sprintf("of topic %q, which connector %s does not use", deadLetter.Topic, run.config.Name)
	}
	return ""
}

// requestDigest identifies the value of the request. "" means that the dead letters have their own values.
func (p *partitionReplay) requestDigest() string {
	if p.request.Value == nil {
		return ""
	}
	return valueDigest([]byte(*p.request.Value))
}

// canSendValue reports whether an earlier attempt that may have written the record has sent no other value than the
// request: a check of one value does not find another.
func (p *partitionReplay) canSendValue(id recordID) bool {
	sent := p.records.values[id]
	return sent == "" || sent == p.requestDigest()
}

func (p *partitionReplay) replaySource(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	run := t.run
	plan, err := run.callPlan(ctx, binding, 1)
	if err != nil {
		return err
	}
	if len(plan.Tasks) > 0 {
		t.settings = plan.Tasks[0]
	}
	t.metrics = &core.Metrics{} // of the replay alone
	newDelivery := t.newDelivery
	if p.request.DryRun {
		newDelivery = t.atLeastOnceDelivery
	}
	delivery := newDelivery(p.owner(), func(int) []string {
		return []string{run.options.Worker.Text("group.id") + "-" + run.config.Name + "-dlq"}
	})
	defer delivery.close(context.WithoutCancel(ctx))
	options := t.sourceOptions(delivery, binding, transforms)
	options.Tolerance.TolerateAll = true
	options.DeadLetters = t.newSourceDeadLetters(p.request.Topic, true, binding)
	rejected := &rejections{replay: p}
	headers := options.DeadLetters.Headers
	options.DeadLetters.Headers = func(failed source.FailedRow) []kgo.RecordHeader {
		rejected.add(failed.ReplayedFrom, failed.Err)
		if p.request.DryRun {
			return nil
		}
		return headers(failed)
	}
	if p.request.DryRun {
		// nothing is skipped
		options.EnsureTopic = nil
		options.Logger = slog.New(slog.DiscardHandler)
		options.NewOutput = func(feed string) (source.Output, error) { // does not record topics
			output, err := delivery.output(feed)
			return discardOutput{output}, err
		}
	}
	var sent []core.DeadLetter
	delivered := map[string]bool{} // positions of sent letters
	next := func(ctx context.Context,
		unreadable source.UnreadableReason) (batch []core.DeadLetter, state []wit.OffsetEntry, err error) {
		for i := range sent { // they were stored
			p.count(sent[i].Position, delivered[sent[i].Position])
		}
		sent = nil
		clear(delivered)
		if err := p.checkLock(ctx); err != nil {
			return nil, nil, err
		}
		for len(batch) == 0 {
			deadLetters, err := p.nextBatch(ctx)
			if err != nil || len(deadLetters) == 0 {
				return nil, nil, err
			}
			if batch, err = p.readableDeadLetters(ctx, deadLetters, unreadable); err != nil {
				return nil, nil, err
			}
		}
		sent = batch
		return batch, p.state.fields(), nil
	}
	return source.NewTask(options).Replay(ctx, source.Replay{Partition: p.storageKey(), Next: next,
		Delivered: func(position string) { delivered[position] = true }})
}

func (p *partitionReplay) readableDeadLetters(ctx context.Context, deadLetters []*DeadLetter,
	unreadable source.UnreadableReason) (batch []core.DeadLetter, err error) {
	for _, deadLetter := range deadLetters {
		replayed := deadLetter.forSourceReplay()
		if replayed.IsDocument {
			reason, err := unreadable(ctx, &replayed)
			if err != nil {
				return nil, err
			}
			if reason != "" {
				p.result.Kept[reason]++
				continue
			}
		}
		batch = append(batch, replayed)
		p.state.markDone(deadLetter.Record.Offset, deadLetter.Record.Offset)
	}
	return batch, nil
}

func (p *partitionReplay) replaySink(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	t.settings = t.run.pluginSettings(binding.Current().Module())
	options := t.sinkOptions(binding, transforms)
	rejected := &rejections{replay: p}
	options.Tolerance.TolerateAll = true
	options.DeadLetters = rejected
	if p.request.DryRun {
		options.Logger = slog.New(slog.DiscardHandler)
	} else {
		deadLetters, err := t.newDeadLetterProducer(p.request.Topic, true, binding)
		if err != nil {
			return err
		}
		defer deadLetters.close()
		rejected.deadLetters = deadLetters
	}
	for {
		chosen, err := p.nextBatch(ctx)
		if err != nil {
			return err
		}
		if len(chosen) == 0 {
			return p.store(ctx, p.state) // includes dead letters of records that were replayed by other ones
		}
		options.InDoubt = &sink.InDoubtRecords{}
		options.Revoked = &sink.RevokedPartitions{}
		options.InDoubt.MergeKnown(p.state.known)
		if err := p.deliver(ctx, options, chosen); err != nil {
			return err
		}
	}
}

// count counts a letter that was sent and settled. isWritten means that it was accepted, unless it was refused.
func (p *partitionReplay) count(position string, isWritten bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.refused[position]:
		p.result.Refused++
	case isWritten:
		p.result.Delivered++
	default:
		p.result.Kept[SettledUnsent]++
		return
	}
	p.result.Sent++
}

// placeID identifies a record by its position.
func placeID(r *kgo.Record) recordID {
	return newKeyID(r.Topic, r.Partition, binary.AppendVarint(nil, r.Offset))
}

func (p *partitionReplay) markWritten(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[placeID(r)] = true
}

func (p *partitionReplay) dropIfSuperseded(deadLetter *DeadLetter) bool {
	superseded := p.records.isSuperseded(deadLetter)
	if superseded {
		p.result.Kept[p.skipReason(deadLetter)]++
		p.records.setSelected(deadLetter.recordID(), false)
	}
	return superseded
}

func (p *partitionReplay) deliver(ctx context.Context, options sink.Options, chosen []*DeadLetter) error {
	clear(p.written) // of the batch before
	if !p.request.DryRun {
		defer p.connectorRun.controller.keyLocks.lock(chosen)()
		if err := p.records.readNewer(ctx); err != nil {
			return err
		}
		if chosen = slices.DeleteFunc(chosen, p.dropIfSuperseded); len(chosen) == 0 {
			return nil
		}
	}
	if p.request.Value != nil && !p.request.DryRun {
		if isWritten, err := p.checkStoredValue(ctx, options, chosen); err != nil || isWritten {
			return err
		}
	}
	slices.SortFunc(chosen, compareOrigins)
	replay := sink.Replay{Membership: p.lock, DryRun: p.request.DryRun, Written: p.markWritten}
	indexes := make([]int, len(chosen)) // of each dead letter's record, which is sent once
	for i, deadLetter := range chosen {
		if id := deadLetter.recordID(); i == 0 || id != chosen[i-1].recordID() {
			replayed := deadLetter.forReplay()
			state := p.records.states[id]
			replayed.Rows = p.records.rows[id]
			replayed.Replays = int(state.replays) + 1
			replayed.InDoubt = state.inDoubt
			replay.Letters = append(replay.Letters, replayed)
		}
		indexes[i] = len(replay.Letters) - 1
	}
	initial := p.state.clone()
	replay.Store = func(ctx context.Context, settled, inDoubt []bool) error {
		updated := initial.clone()
		updated.known = options.InDoubt.Known()
		for i, deadLetter := range chosen {
			delete(updated.inDoubt, deadLetter.Record.Offset)
			if inDoubt[indexes[i]] {
				updated.setInDoubt(deadLetter.Record.Offset, p.requestDigest())
			}
			if settled[indexes[i]] {
				updated.markDone(deadLetter.Record.Offset, deadLetter.Record.Offset)
			}
		}
		return p.store(ctx, updated)
	}
	err := sink.Deliver(ctx, options, replay)
	for i, deadLetter := range chosen {
		p.records.markSent(deadLetter)
		if p.state.isDone(deadLetter.Record.Offset) && (i == 0 || indexes[i] != indexes[i-1]) {
			sent := &replay.Letters[indexes[i]]
			p.count(sent.Position, p.written[placeID(sent.Record)])
		}
	}
	return err
}

// checkStoredValue checks whether an earlier attempt has written the record of a letter in doubt whose value was
// edited: the other value may have another key, so the check needs the stored value. It returns true if the record was
// written. Of a record in several parts, the parts that were not written are left to send.
func (p *partitionReplay) checkStoredValue(ctx context.Context, options sink.Options,
	chosen []*DeadLetter) (isWritten bool, err error) {
	letter := chosen[0]
	id := letter.recordID()
	state := p.records.states[id]
	if !state.inDoubt || p.records.values[id] != "" { // the sink itself checks the value that was sent
		return false, nil
	}
	stored := letter.forReplay()
	stored.Record.Value = letter.storedValue
	stored.Rows = p.records.rows[id]
	stored.InDoubt = true
	missing := &missingRows{}
	options.DeadLetters = missing
	options.Logger = slog.New(slog.DiscardHandler)
	options.Revoked = &sink.RevokedPartitions{}
	options.InDoubt = &sink.InDoubtRecords{}
	options.InDoubt.MergeKnown(p.state.known)
	var found atomic.Bool
	err = sink.Deliver(ctx, options, sink.Replay{Letters: []core.DeadLetter{stored}, Membership: p.lock,
		CheckOnly: true,
		Store:     func(context.Context, []bool, []bool) error { return nil },
		Written:   func(*kgo.Record) { found.Store(true) }})
	if err != nil {
		return false, err
	}
	if missing.record == nil && !found.Load() {
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: a transform, the plugin or errors.uncertain.skip leaves it out", letter.position())
	}
	if missing.record == nil {
		after := p.state.clone()
		after.markDone(letter.Record.Offset, letter.Record.Offset)
		p.result.Kept[keptWritten]++
		return true, p.store(ctx, after)
	}
	if !errors.Is(missing.record.Err, sink.ErrNotWritten) {
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: %w", letter.position(), missing.record.Err)
	}
	p.records.rows[id] = missing.record.Rows
	state.inDoubt = false
	p.records.states[id] = state
	return false, nil
}

// missingRows keeps the record whose rows a check has not found.
type missingRows struct{ record *sink.FailedRecord }

// Send implements [sink.DeadLetters].
func (m *missingRows) Send(_ context.Context, records []sink.FailedRecord) error {
	m.record = &records[0]
	return nil
}

func (p *partitionReplay) checkLock(ctx context.Context) error {
	if p.request.DryRun {
		return nil
	}
	return p.lock.CheckMembership(ctx)
}

func (p *partitionReplay) store(ctx context.Context, state replayState) error {
	if err := p.checkLock(ctx); err != nil {
		return err
	}
	fields := state.fields()
	encoded := string(offset.AppendJSON(nil, fields))
	if encoded != p.storedJSON && !p.request.DryRun {
		entry := offset.Entry{Partition: p.storageKey(), Offset: fields}
		if err := p.connectorRun.clients.offsets.Set(ctx, p.owner(), entry); err != nil {
			return err
		}
	}
	p.state = state
	p.storedJSON = encoded
	return nil
}
