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

// withFailureHeaders adds the headers that describe a failure to dead letters, whatever the connector's settings are.
const withFailureHeaders = true

// partitionReplay sends the dead letters of one connector in one partition to their topics or to the service.
type partitionReplay struct {
	connectorRun *connectorRun
	lock         sink.Membership
	reader       *kafka.Reader
	request      ReplayRequest
	partition    int32
	end          int64 // the end offset of the partition when the replay began
	result       *ReplayResult

	next       int64        // the offset at which the next batch starts
	state      replayState  // as stored, and what the current batch has settled
	storedJSON string       // the stored state, which is not written again if it is the same
	index      *replayIndex // of all partitions
	newer      newerRecords
	replays    map[int32]*partitionReplay // of all partitions, by partition
	regex      *pattern.Pattern           // topics.regex; nil if it is not set

	mu       sync.Mutex
	rejected map[string]bool   // positions of letters that became dead letters again
	written  map[recordID]bool // records of which the service has accepted a row, by placeID
}

func (p *partitionReplay) owner() string { return replayOwnerPrefix + p.connectorRun.config.Name }

func (p *partitionReplay) storageKey() []wit.OffsetEntry {
	return replayPartition(p.request.Topic, p.partition)
}

// load reads the stored state. It returns an error if the state does not fit to the topic.
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
	if !p.state.canBeOf(p.request.topicID) {
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
			"found %d: the topic was created again; --again ignores what was replayed",
			p.request.Topic, p.partition, p.state.end(), p.end)
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
	nextOffset  int64           // the offset after the last record that was read
	restartAt   int64           // where the next batch starts; -1 means after the last record that was read
	selected    map[string]bool // records of the batch by topic, partition and offset
}

// nextBatch returns the next letters to send, no letters at the end. It marks letters that need not be sent as done.
func (p *partitionReplay) nextBatch(ctx context.Context) ([]*DeadLetter, error) {
	b := &replayBatch{partitionReplay: p, nextOffset: p.next, restartAt: -1, selected: map[string]bool{}}
	next, err := p.read(ctx, b.add)
	if err != nil {
		return nil, err
	}
	p.next = next
	if b.restartAt >= 0 {
		p.next = b.restartAt
	}
	ranges := p.state.ranges()
	p.markUnused(&p.state, b.nextOffset, p.next-1)
	if err := p.state.checkBounds(ranges); err != nil {
		return nil, err
	}
	return b.deadLetters, nil
}

// read calls visit with the letters of the partition from next on, and returns the offset after the last one.
func (p *partitionReplay) read(ctx context.Context, visit func(*kgo.Record) error) (next int64, err error) {
	if p.request.located == nil {
		positions, err := p.reader.Read(ctx, p.request.Topic, kafka.ReadOptions{
			From: kafka.Positions{p.partition: p.next}, To: kafka.Positions{p.partition: p.end}}, visit)
		return positions[p.partition], err
	}
	var letters []trackedDeadLetter
	offsets := map[int64]bool{}
	for _, l := range p.request.located.letters {
		if l.partition == p.partition && l.offset >= p.next {
			letters = append(letters, l)
			offsets[l.offset] = true
		}
	}
	next = p.end
	err = readSpans(ctx, p.reader, p.request.Topic, letters, func(r *kgo.Record) error {
		if !offsets[r.Offset] {
			return nil
		}
		err := visit(r)
		if errors.Is(err, kafka.ErrStop) {
			next = r.Offset + 1
		}
		return err
	})
	return next, err
}

// markUnused marks offsets between the records of a read as done: transaction markers and compacted records. Between
// located letters there are other letters, so it marks nothing.
func (p *partitionReplay) markUnused(state *replayState, first, last int64) {
	if p.request.located == nil {
		state.markDone(first, last)
	}
}

// checkRoom returns an error if a state would be too large after all selected dead letters are settled. It does not
// read partitions whose letters are fewer than the ranges that may be stored.
func checkRoom(ctx context.Context, replays map[int32]*partitionReplay) error {
	projected := map[int32]*replayState{}
	for partition, p := range replays {
		state := p.state.clone()
		projected[partition] = &state
	}
	for _, p := range replays {
		if p.end-p.next < maxReplayedRanges {
			continue
		}
		nextOffset := p.next
		_, err := p.read(ctx, func(r *kgo.Record) error {
			l := ParseDeadLetter(r)
			p.markUnused(projected[p.partition], nextOffset, r.Offset-1)
			nextOffset = r.Offset + 1
			switch {
			case l.Connector != p.connectorRun.config.Name:
				projected[p.partition].markDone(r.Offset, r.Offset)
			case p.index.represents(&l) && p.request.Filter.Matches(&l) && p.skipReason(&l) == "":
				for position := range p.index.positions(&l) {
					projected[position.Partition].markDone(position.Offset, position.Offset)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.markUnused(projected[p.partition], nextOffset, p.end-1)
	}
	for partition, p := range replays {
		if err := projected[partition].checkBounds(p.state.ranges()); err != nil {
			return err
		}
	}
	return nil
}

// add adds a dead letter that must be sent. It returns [kafka.ErrStop] at the end of the batch.
func (b *replayBatch) add(r *kgo.Record) error {
	deadLetter := ParseDeadLetter(r)
	b.markUnused(&b.state, b.nextOffset, r.Offset-1)
	b.nextOffset = r.Offset + 1
	switch {
	case deadLetter.Connector != b.connectorRun.config.Name:
		b.state.markDone(r.Offset, r.Offset)
		return nil
	case b.state.isDone(r.Offset):
		return nil
	}
	if !b.index.represents(&deadLetter) || !b.request.Filter.Matches(&deadLetter) {
		return nil
	}
	place := fmt.Sprint(deadLetter.Topic, " ", deadLetter.Partition, " ", deadLetter.Offset)
	if _, isSelected := b.selected[place]; isSelected && b.connectorRun.isSink() {
		b.restartAt = r.Offset // the topic was created again: one task cannot write both
		b.nextOffset = r.Offset
		return kafka.ErrStop
	}
	delete(b.request.notFound, deadLetter.position())
	if reason := b.skipReason(&deadLetter); reason != "" {
		b.result.Kept[reason]++
		return nil
	}
	letter := &deadLetter
	if value := b.request.Value; value != nil {
		letter = deadLetter.withValue(*value)
	}
	b.selected[place] = true
	b.deadLetters = append(b.deadLetters, letter)
	b.bytes += len(r.Key) + len(r.Value)
	if len(b.deadLetters) >= batchRecords || b.bytes >= batchBytes {
		return kafka.ErrStop
	}
	return nil
}

// skipReason explains why a dead letter cannot be replayed; "" means that it can. Headers are not trusted: rows are
// sent only to topics of the connector.
func (p *partitionReplay) skipReason(deadLetter *DeadLetter) string {
	run := p.connectorRun
	switch {
	case deadLetter.Stage == "":
		return "that another program has written in an unknown format"
	case deadLetter.HeaderError != nil:
		return "with a header that cannot be read"
	}
	attempt := p.attempt(deadLetter)
	if attempt.isContradictory {
		return "of records whose dead letters contradict each other about their number of rows"
	}
	isSuperseded := p.newer.isSuperseded(deadLetter)
	topicRole := role.SourceTopic
	topics := config.List(run.config.Text("topics"))
	if run.isSink() {
		topicRole = role.SinkTopic
		if deadLetter.Partition < 0 || deadLetter.Offset < 0 {
			return "without the position of their record"
		}
		switch {
		case attempt.value != "" && attempt.value != p.requestDigest():
			return keptOtherValue
		case isSuperseded && deadLetter.Record.Key == nil:
			return "of records without a key, whose topic has later records that may be of the same entity and would " +
				"be overwritten: --older sends them anyway"
		case isSuperseded:
			return keptSuperseded
		}
		if p.regex != nil {
			if matches, err := config.MatchesTopic(*p.regex, deadLetter.Topic); err != nil || !matches {
				return fmt.Sprintf("of topic %q, which topics.regex of connector %s does not match", deadLetter.Topic,
					run.config.Name)
			}
			return ""
		}
	} else if isSuperseded {
		return keptSuperseded
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

func (p *partitionReplay) attempt(letter *DeadLetter) attempt {
	return p.index.attempt(letter.recordID().original())
}

// replayed returns a letter in the form in which it is sent now.
func (p *partitionReplay) replayed(letter *DeadLetter) core.DeadLetter {
	attempt := p.attempt(letter)
	replayed := letter.forReplay()
	replayed.Rows = attempt.rows
	replayed.Replays = attempt.replays
	replayed.InDoubt = attempt.inDoubt
	return replayed
}

// markSettled marks letters and the others of their originals in this partition as done.
func (p *partitionReplay) markSettled(state *replayState, letters []*DeadLetter) {
	for _, letter := range letters {
		for position := range p.index.positions(letter) {
			if position.Partition == p.partition {
				state.markDone(position.Offset, position.Offset)
			}
		}
	}
}

// settleElsewhere stores the letters of the same originals in other partitions as done. This precedes the letters that
// are sent, see [deadLetterIndex].
func (p *partitionReplay) settleElsewhere(ctx context.Context, letters []*DeadLetter) error {
	changed := map[int32]bool{}
	for _, letter := range letters {
		for position := range p.index.positions(letter) {
			changed[position.Partition] = position.Partition != p.partition
		}
	}
	for partition, isElsewhere := range changed {
		if !isElsewhere {
			continue
		}
		sibling := p.replays[partition]
		state := sibling.state.clone()
		sibling.markSettled(&state, letters)
		if err := sibling.store(ctx, state); err != nil {
			return err
		}
	}
	return nil
}

func (p *partitionReplay) replaySink(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	t.settings = t.run.pluginSettings(binding.Current().Module())
	options := t.sinkOptions(binding, transforms)
	rejections := &rejections{replay: p}
	options.Tolerance.TolerateAll = true
	options.DeadLetters = rejections
	if p.request.DryRun {
		options.Logger = slog.New(slog.DiscardHandler)
	} else {
		deadLetters, err := t.newDeadLetterProducer(p.request.Topic, withFailureHeaders, binding)
		if err != nil {
			return err
		}
		defer deadLetters.close()
		rejections.deadLetters = deadLetters
	}
	for {
		letters, err := p.nextBatch(ctx)
		if err != nil {
			return err
		}
		if len(letters) == 0 {
			return p.store(ctx, p.state) // with the dead letters that nextBatch has marked as done
		}
		options.InDoubt = &sink.InDoubtRecords{}
		options.Revoked = &sink.RevokedPartitions{}
		options.InDoubt.MergeKnown(p.state.known)
		if err := p.deliver(ctx, options, letters); err != nil {
			return err
		}
	}
}

// count counts a settled letter. isWritten means that it was accepted, unless it became a dead letter again.
func (p *partitionReplay) count(position string, isWritten bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rejected[position]:
		p.result.Refused++
	case isWritten:
		p.result.Delivered++
	default:
		p.result.Kept[SettledUnsent]++
		return
	}
	p.result.Sent++
}

// placeID identifies a record by its position alone.
func placeID(r *kgo.Record) recordID {
	return newKeyID(r.Topic, r.Partition, binary.AppendVarint(nil, r.Offset))
}

func (p *partitionReplay) markWritten(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[placeID(r)] = true
}

// dropSuperseded reads newer records, and returns the letters of a batch that no newer record supersedes. It counts the
// others as kept.
func (p *partitionReplay) dropSuperseded(ctx context.Context, letters []*DeadLetter) ([]*DeadLetter, error) {
	if err := p.newer.read(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(letters, func(letter *DeadLetter) bool {
		isSuperseded := p.newer.isSuperseded(letter)
		if isSuperseded {
			p.result.Kept[p.skipReason(letter)]++
		}
		return isSuperseded
	}), nil
}

// deliver sends a batch to the service, stores and counts its results. Until it returns, the sink's tasks write
// no records with the keys of the batch.
func (p *partitionReplay) deliver(ctx context.Context, options sink.Options, letters []*DeadLetter) error {
	clear(p.written) // of the previous batch
	if !p.request.DryRun {
		defer p.connectorRun.controller.keyLocks.lock(letters)()
		var err error
		if letters, err = p.dropSuperseded(ctx, letters); err != nil || len(letters) == 0 {
			return err
		}
	}
	slices.SortFunc(letters, compareOrigins)
	replay := sink.Replay{Membership: p.lock, DryRun: p.request.DryRun, Written: p.markWritten}
	for _, letter := range letters {
		replay.Letters = append(replay.Letters, p.replayed(letter))
	}
	if p.request.Value != nil && !p.request.DryRun {
		if isWritten, err := p.checkStoredValue(ctx, options, letters, &replay.Letters[0]); err != nil || isWritten {
			return err
		}
	}
	initialState := p.state.clone()
	for i, letter := range letters { // doubts about letters that settleElsewhere will settle
		if _, ok := initialState.inDoubt[letter.Record.Offset]; replay.Letters[i].InDoubt && !ok {
			initialState.setInDoubt(letter.Record.Offset, p.attempt(letter).value)
		}
	}
	if len(initialState.inDoubt) > len(p.state.inDoubt) {
		if err := p.store(ctx, initialState); err != nil {
			return err
		}
	}
	replay.Store = func(ctx context.Context, settled, inDoubt []bool) error {
		newState := initialState.clone()
		newState.known = options.InDoubt.Known()
		var done []*DeadLetter
		for i, deadLetter := range letters {
			delete(newState.inDoubt, deadLetter.Record.Offset)
			if inDoubt[i] {
				newState.setInDoubt(deadLetter.Record.Offset, p.requestDigest())
			}
			if settled[i] {
				done = append(done, deadLetter)
			}
		}
		if err := p.settleElsewhere(ctx, done); err != nil {
			return err
		}
		p.markSettled(&newState, done)
		return p.store(ctx, newState)
	}
	err := sink.Deliver(ctx, options, replay)
	for i, deadLetter := range letters {
		p.newer.markSent(deadLetter)
		if p.state.isDone(deadLetter.Record.Offset) {
			letter := &replay.Letters[i]
			p.count(letter.Position, p.written[placeID(letter.Record)])
		}
	}
	return err
}

// checkStoredValue checks whether an earlier attempt has written the record of a letter in doubt whose value was
// edited: the other value may have another key, so the check needs the stored value. If the record was written, it
// stores that and returns true. If only some rows were written, the others remain to be sent.
func (p *partitionReplay) checkStoredValue(ctx context.Context, options sink.Options, letters []*DeadLetter,
	replayed *core.DeadLetter) (isWritten bool, err error) {
	letter := letters[0]
	if !replayed.InDoubt || p.attempt(letter).value != "" { // the sink itself checks the value that was sent
		return false, nil
	}
	stored := p.replayed(letter)
	stored.Record.Value = letter.storedValue
	missing := &missingRows{}
	options.DeadLetters = missing
	options.Logger = slog.New(slog.DiscardHandler)
	options.Revoked = &sink.RevokedPartitions{}
	options.InDoubt = &sink.InDoubtRecords{}
	options.InDoubt.MergeKnown(p.state.known)
	var isFound atomic.Bool
	err = sink.Deliver(ctx, options, sink.Replay{
		Letters:    []core.DeadLetter{stored},
		Membership: p.lock,
		CheckOnly:  true,
		Store:      func(context.Context, []bool, []bool) error { return nil },
		Written:    func(*kgo.Record) { isFound.Store(true) },
	})
	if err != nil {
		return false, err
	}
	if missing.record == nil && !isFound.Load() {
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: a transform, the plugin or errors.uncertain.skip leaves it out", letter.position())
	}
	if missing.record == nil {
		newState := p.state.clone()
		if err := p.settleElsewhere(ctx, letters); err != nil {
			return false, err
		}
		p.markSettled(&newState, letters)
		p.result.Kept[keptWritten]++
		return true, p.store(ctx, newState)
	}
	if !errors.Is(missing.record.Err, sink.ErrNotWritten) {
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: %w", letter.position(), missing.record.Err)
	}
	replayed.Rows = missing.record.Rows
	replayed.InDoubt = false
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
