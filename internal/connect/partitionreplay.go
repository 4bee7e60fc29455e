package connect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// Bounds of a batch of dead letters. The result of a batch is stored before the next one.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// partitionReplay is the part of a replay in one partition of the dead letter topic.
//
// Invariants: letters before next were sent or kept, or need not be sent. state is the stored state with the letters
// that the current batch has settled.
type partitionReplay struct {
	*connectorReplay
	partition  int32
	next       int64 // the offset at which the next batch starts
	state      replayState
	storedJSON string // the stored state, which is not written again if it is the same
}

func (p *partitionReplay) owner() string { return replayOwnerPrefix + p.run.config.Name }

// end returns the end offset of the partition when the replay began.
func (p *partitionReplay) end() int64 { return p.ends[p.partition] }

func (p *partitionReplay) storageKey() []wit.OffsetEntry {
	return replayPartition(p.request.Topic, p.partition)
}

// load reads the stored state. It returns an error if the state settles letters after the end of the topic; a discard
// drops such a state instead.
func (p *partitionReplay) load(ctx context.Context) error {
	stored, _, err := p.run.clients.offsets.Get(ctx, p.owner(), p.storageKey())
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
	if p.state.end() > p.end() {
		if p.request.isDiscard {
			return p.dropEarlierState(ctx)
		}
		return fmt.Errorf("topic %s, partition %d: expected an end offset after the replayed dead letters (%d), "+
			"found %d: the topic was created again; --again ignores what was replayed",
			p.request.Topic, p.partition, p.state.end(), p.end())
	}
	p.next, _ = p.state.next()
	return nil
}

// dropEarlierState drops a state that settles letters after the end of the topic: it is of an earlier topic with the
// same name, so lists show the letters of this topic as open. It keeps the state if the topic has these letters by now:
// another process has settled them since the topic was read.
func (p *partitionReplay) dropEarlierState(ctx context.Context) error {
	options := kafka.ReadOptions{From: kafka.Positions{p.partition: p.end()},
		To: kafka.Positions{p.partition: p.state.end()}}
	reached, err := p.reader.Read(ctx, p.request.Topic, options, func(*kgo.Record) error { return nil })
	if err == nil && reached[p.partition] < p.state.end() {
		p.state = replayState{topicID: p.request.topicID}
	}
	return err
}

// nextBatch returns the next letters to send. An empty batch means the end. It marks records of other connectors and
// unused offsets as settled, and counts letters that cannot be sent as kept.
func (p *partitionReplay) nextBatch(ctx context.Context) (letters []*DeadLetter, err error) {
	type recordPosition struct {
		topic     string
		partition int32
		offset    int64
	}
	records := map[recordPosition]bool{}
	bytes := 0
	ranges := p.state.ranges()
	p.next, err = p.readSelected(ctx, &p.state, func(l *DeadLetter) error {
		record := recordPosition{topic: l.Topic, partition: l.Partition, offset: l.Offset}
		isOtherRecord := p.run.isSink() && records[record] // the topic was created again: one task cannot write both
		if isOtherRecord || len(letters) == batchRecords || bytes >= batchBytes {
			return kafka.ErrStop
		}
		delete(p.request.notFound, l.position())
		if reason := p.skipReason(l); reason != "" {
			p.keep(reason)
			return nil
		}
		records[record] = true
		bytes += len(l.Record.Key) + len(l.Record.Value)
		if value := p.request.Value; value != nil {
			l = l.withValue(*value)
		}
		letters = append(letters, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return letters, p.state.checkBounds(ranges)
}

// readSelected calls visit with the open letters that the request selects, from next on. If visit returns
// [kafka.ErrStop], the read ends before the letter. It marks records of other connectors and unused offsets in state as
// settled, and returns the offset that it reached.
func (p *partitionReplay) readSelected(ctx context.Context, state *replayState,
	visit func(*DeadLetter) error) (reached int64, err error) {
	reached = p.next
	isStopped := false
	err = p.read(ctx, func(r *kgo.Record) (err error) {
		l := p.run.options.parseDeadLetter(r)
		p.markUnused(state, reached, r.Offset-1)
		reached = r.Offset
		switch {
		case l.Connector != p.run.config.Name:
			state.markSettled(r.Offset, r.Offset)
		case !state.isSettled(r.Offset) && p.index.represents(&l) && p.selects(&l):
			err = visit(&l)
		}
		isStopped = err != nil
		if !isStopped {
			reached++
		}
		return err
	})
	if err == nil && !isStopped {
		p.markUnused(state, reached, p.end()-1)
		reached = p.end()
	}
	return reached, err
}

// selects reports whether the request selects a letter, which represents its original.
func (p *partitionReplay) selects(l *DeadLetter) bool {
	filter := &p.request.Filter
	return filter.matchesText(l) && p.index.selects(p.index.newest(l.recordID().original()), ShowAll, filter)
}

// read calls visit with the records of the partition from next on, or with the located letters among them.
func (p *partitionReplay) read(ctx context.Context, visit func(*kgo.Record) error) error {
	if p.request.located == nil {
		_, err := p.reader.Read(ctx, p.request.Topic, kafka.ReadOptions{From: kafka.Positions{p.partition: p.next},
			To: kafka.Positions{p.partition: p.end()}}, visit)
		return err
	}
	letters := p.request.located.letters
	find := func(position DeadLetterPosition) int {
		target := trackedDeadLetter{partition: position.Partition, offset: position.Offset}
		i, _ := slices.BinarySearchFunc(letters, target, comparePositions)
		return i
	}
	start := find(DeadLetterPosition{p.partition, p.next})
	end := find(DeadLetterPosition{p.partition, p.end()})
	return readLetters(ctx, p.reader, p.request.Topic, letters[start:end], visit)
}

// markUnused marks offsets between the records of a read as settled: transaction markers and compacted records. It
// marks nothing if only located letters are read, because other letters are between them.
func (p *partitionReplay) markUnused(state *replayState, first, last int64) {
	if p.request.located == nil {
		state.markSettled(first, last)
	}
}

// settle marks letters and the other letters of their originals as settled: in state the letters of this partition. It
// stores the states of other partitions, because they precede the letters that are sent, see [deadLetterIndex].
func (p *partitionReplay) settle(ctx context.Context, state *replayState, letters []*DeadLetter) error {
	var others []trackedDeadLetter
	for _, letter := range letters {
		for l := range p.index.deadLettersOf(letter.recordID().original()) {
			if l.partition == p.partition {
				state.markSettled(l.offset, l.offset)
			} else {
				others = append(others, *l)
			}
		}
	}
	return p.storeSettled(ctx, others)
}

// store stores a state unless it is stored already, and sets p.state. A dry run stores nothing.
func (p *partitionReplay) store(ctx context.Context, state replayState) error {
	if err := p.checkLock(ctx); err != nil {
		return err
	}
	fields := state.fields()
	encoded := string(offset.AppendJSON(nil, fields))
	if encoded != p.storedJSON && !p.request.DryRun {
		entry := offset.Entry{Partition: p.storageKey(), Offset: fields}
		if err := p.run.clients.offsets.Set(ctx, p.owner(), entry); err != nil {
			return err
		}
	}
	p.state = state
	p.storedJSON = encoded
	return nil
}
