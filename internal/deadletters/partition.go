package deadletters

import (
	"cmp"
	"context"
	"fmt"
	"math"
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
// Invariants: selected letters before pending were sent or kept. state is the stored state with the letters that the
// current batch has settled.
type partitionReplay struct {
	*connectorReplay
	partition  int32
	pending    []Position // the selected letters that were not sent yet, sorted
	state      replayState
	storedJSON string // the stored state, which is not written again if it is the same
}

func (p *partitionReplay) owner() string { return stateOwnerPrefix + p.name }

// end returns the end offset of the partition when the replay began.
func (p *partitionReplay) end() int64 { return p.request.offsets.To[p.partition] }

func (p *partitionReplay) stateKey() []wit.OffsetEntry { return stateKey(p.request.Topic, p.partition) }

// load reads the stored state. It returns an error if the state settles letters after the end of the topic; a discard
// drops such a state instead.
func (p *partitionReplay) load(ctx context.Context) error {
	stored, _, err := p.task.Offsets.Get(ctx, p.owner(), p.stateKey())
	if err != nil {
		return err
	}
	p.storedJSON = string(offset.AppendJSON(nil, stored))
	if !p.request.IncludeReplayed || !p.request.Filter.IsZero() { // else all letters are sent, whatever is stored
		if p.state, err = parseReplayState(stored); err != nil {
			return fmt.Errorf("stored replay state of topic %s, partition %d: %w", p.request.Topic, p.partition, err)
		}
	}
	if !p.state.canBeOf(p.request.offsets.TopicID) {
		p.state = replayState{}
	}
	p.state.topicID = cmp.Or(p.request.offsets.TopicID, p.state.topicID)
	switch {
	case p.state.end() <= p.end():
		return nil
	case p.request.isDiscard:
		// The state is of an earlier topic with the same name, so lists show the letters of this topic as open. It
		// stays if the topic has these letters by now: another process has settled them since the topic was read.
		options := kafka.ReadOptions{From: kafka.Positions{p.partition: p.end()},
			To: kafka.Positions{p.partition: p.state.end()}}
		reached, err := p.reader.Read(ctx, p.request.Topic, options, func(*kgo.Record) error { return nil })
		if err == nil && reached[p.partition] < p.state.end() {
			p.state = replayState{topicID: p.request.offsets.TopicID}
		}
		return err
	}
	return fmt.Errorf("topic %s, partition %d: expected an end offset after the replayed dead letters (%d), "+
		"found %d: the topic was created again; --again ignores what was replayed",
		p.request.Topic, p.partition, p.state.end(), p.end())
}

// nextBatch returns the next letters to send. An empty batch means the end. It counts letters that cannot be sent as
// kept.
func (p *partitionReplay) nextBatch(ctx context.Context) (letters []*Letter, err error) {
	type recordPosition struct {
		topic     string
		partition int32
		offset    int64
	}
	records := map[recordPosition]bool{}
	bytes := 0
	next := Position{p.partition, math.MaxInt64} // where the next batch starts
	err = readLetters(ctx, p.reader, p.request.Topic, p.pending, func(r *kgo.Record) error {
		l := Parse(r, p.queues.o.Worker.Redact)
		record := recordPosition{topic: l.Topic, partition: l.Partition, offset: l.Offset}
		// Two originals with one position are of a topic that was created again. A sink tells the records of a batch
		// apart by their positions, so the second one is in the next batch.
		isRepeated := p.sender.Sink != nil && records[record]
		if isRepeated || len(letters) == batchRecords || bytes >= batchBytes {
			next = l.position()
			return kafka.ErrStop
		}
		if reason := p.skipReason(&l); reason != "" {
			p.keep(reason)
			return nil
		}
		records[record] = true
		bytes += len(r.Key) + len(r.Value)
		sent := &l
		if value := p.request.Value; value != nil {
			if err := checkValue(r.Value, *value); err != nil {
				return err
			}
			sent = l.withValue(*value)
		}
		letters = append(letters, sent)
		return nil
	})
	i, _ := slices.BinarySearchFunc(p.pending, next, comparePositions)
	p.pending = p.pending[i:]
	return letters, err
}

// settle marks letters and the other letters of their originals as settled: in state the letters of this partition. It
// stores the states of other partitions, because they precede the letters that are sent, see [deadLetterIndex].
func (p *partitionReplay) settle(ctx context.Context, state *replayState, letters []*Letter) error {
	var others []Position
	for _, letter := range letters {
		for l := range p.index.lettersOf(letter.recordID().original()) {
			if l.partition == p.partition {
				state.markSettled(l.offset, l.offset)
			} else {
				others = append(others, l.position())
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
		entry := offset.Entry{Partition: p.stateKey(), Offset: fields}
		if err := p.task.Offsets.Set(ctx, p.owner(), entry); err != nil {
			return err
		}
	}
	p.state = state
	p.storedJSON = encoded
	return nil
}
