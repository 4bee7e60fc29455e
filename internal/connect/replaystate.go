package connect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/wit"
)

// replayOwnerPrefix begins the owner name of replay states. No connector has such a name, because of the colon and
// space.
const replayOwnerPrefix = "culvert dlq replay: "

func replayPartition(topic string, partition int32) []wit.OffsetEntry {
	return []wit.OffsetEntry{wit.StringEntry("topic", topic), wit.IntegerEntry("partition", int64(partition))}
}

// ReplayStates are the stored states of all replays of a topic: which dead letters are settled.
type ReplayStates struct {
	topic   string
	topicID string
	states  map[string]replayState
}

// ReadReplayStates reads the replay states of a dead letter topic from a worker's offsets topic.
func ReadReplayStates(ctx context.Context, reader *kafka.Reader, worker map[string]string,
	topic string) (*ReplayStates, error) {
	c, problems := offset.ParseConfig(worker)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	id, err := reader.TopicID(ctx, topic)
	if err != nil {
		return nil, err
	}
	replays := &ReplayStates{topic, id, map[string]replayState{}}
	_, err = reader.Read(ctx, c.Topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		owner, partition, err := offset.ParseKey(r.Key)
		if err != nil || !strings.HasPrefix(owner, replayOwnerPrefix) {
			return nil
		}
		var fields []wit.OffsetEntry
		if r.Value != nil {
			fields, err = offset.ParseJSON(r.Value)
		}
		if err == nil {
			replays.states[owner+offset.Identity(partition)], err = parseReplayState(fields)
		}
		if err != nil {
			return fmt.Errorf("stored replay state of %s: %w", owner, err)
		}
		return nil
	})
	if errors.Is(err, kafka.ErrUnknownTopic) {
		err = nil
	}
	return replays, err
}

// IsSettled reports whether a dead letter, or another one of its record, was delivered or discarded.
func (r *ReplayStates) IsSettled(deadLetter *DeadLetter) bool {
	state := r.states[replayOwnerPrefix+deadLetter.Connector+offset.Identity(replayPartition(r.topic,
		deadLetter.Record.Partition))]
	return deadLetter.Connector != "" && state.isOf(r.topicID) && state.isDone(deadLetter.Record.Offset)
}

// replayState is the stored state of the replay of one partition: done has the ranges of settled dead letters, sorted
// and not adjacent; inDoubt has dead letters that may have been written, with the digest of the value that was sent in
// place of theirs, if any; known is what the sink must know to check those. topicID is [kafka.Range.TopicID], "" in
// states of earlier versions.
type replayState struct {
	topicID string
	done    []offsetRange
	inDoubt map[int64]string
	known   wit.Known
}

// valueDigest identifies a value that is sent in place of that of a dead letter.
func valueDigest(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:16])
}

// offsetRange includes first and last.
type offsetRange struct{ first, last int64 }

func (r *replayState) clone() replayState {
	return replayState{r.topicID, slices.Clone(r.done), maps.Clone(r.inDoubt), r.known}
}

// isOf reports whether the state is not known to be of another topic with the same name.
func (r *replayState) isOf(topicID string) bool {
	return r.topicID == "" || topicID == "" || r.topicID == topicID
}

// next returns the offset before which all dead letters are done, and the other ranges.
func (r *replayState) next() (next int64, done []offsetRange) {
	if len(r.done) > 0 && r.done[0].first == 0 {
		return r.done[0].last + 1, r.done[1:]
	}
	return 0, r.done
}

func (r *replayState) end() int64 {
	if n := len(r.done); n > 0 {
		return r.done[n-1].last + 1
	}
	return 0
}

func (r *replayState) isDone(pos int64) bool {
	_, ok := r.find(pos)
	return ok
}

// covers reports whether all dead letters from first to last are done.
func (r *replayState) covers(first, last int64) bool {
	i, ok := r.find(first)
	return first > last || (ok && r.done[i].last >= last)
}

// find returns the index of the range that contains an offset. If ok is false, i is the index of the next range.
func (r *replayState) find(pos int64) (i int, ok bool) {
	i, _ = slices.BinarySearchFunc(r.done, pos, func(replayed offsetRange, pos int64) int {
		return cmp.Compare(replayed.last, pos)
	})
	return i, i < len(r.done) && r.done[i].first <= pos
}

// ranges is the number of stored ranges.
func (r *replayState) ranges() int {
	_, done := r.next()
	return len(done)
}

// checkBounds returns an error if the state is too large and larger than before: what closes gaps is permitted.
func (r *replayState) checkBounds(previous int) error {
	if count := r.ranges(); count > max(maxReplayedRanges, previous) {
		return fmt.Errorf("%w, and this would make %d: replay or discard the dead letters in the gaps first, "+
			"without a filter or with --older", ErrTooManyRanges, count)
	}
	return nil
}

// setInDoubt records that a dead letter may have been written. digest is "" for its own value, see [valueDigest].
func (r *replayState) setInDoubt(pos int64, digest string) {
	if r.inDoubt == nil {
		r.inDoubt = map[int64]string{}
	}
	r.inDoubt[pos] = digest
}

// unmark makes a dead letter open again.
func (r *replayState) unmark(pos int64) {
	if i, ok := r.find(pos); ok {
		r.done = slices.Replace(r.done, i, i+1, offsetRange{r.done[i].first, pos - 1}, offsetRange{pos + 1,
			r.done[i].last})
		r.done = slices.DeleteFunc(r.done, func(replayed offsetRange) bool { return replayed.first > replayed.last })
	}
}

// markDone records that the dead letters were replayed or do not exist.
func (r *replayState) markDone(first, last int64) {
	if first > last {
		return
	}
	maps.DeleteFunc(r.inDoubt, func(pos int64, _ string) bool { return pos >= first && pos <= last })
	i, _ := r.find(first - 1) // the range to extend, or where to insert one
	n := i
	for ; n < len(r.done) && r.done[n].first <= last+1; n++ {
		first = min(first, r.done[n].first)
		last = max(last, r.done[n].last)
	}
	r.done = slices.Replace(r.done, i, n, offsetRange{first, last})
}

const (
	fieldNext  = "next"
	fieldDone  = "done"
	fieldSent  = "sent"
	fieldKnown = "known" // earlier versions reject it, because their check would miss dead letters
	// fieldValues has the digests of other values that were sent, as OFFSET:DIGEST. Earlier versions reject it.
	fieldValues = "values"
	fieldTopic  = "topic" // the topic's ID. Earlier versions reject it.
)

func (r *replayState) fields() []wit.OffsetEntry {
	next, runs := r.next()
	fields := []wit.OffsetEntry{wit.IntegerEntry(fieldNext, next)}
	if r.topicID != "" {
		fields = append(fields, wit.StringEntry(fieldTopic, r.topicID))
	}
	var done, sent, values []string
	for _, replayed := range runs {
		done = append(done, fmt.Sprintf("%d-%d", replayed.first, replayed.last))
	}
	for _, pos := range slices.Sorted(maps.Keys(r.inDoubt)) {
		sent = append(sent, strconv.FormatInt(pos, 10))
		if digest := r.inDoubt[pos]; digest != "" {
			values = append(values, fmt.Sprintf("%d:%s", pos, digest))
		}
	}
	if len(values) > 0 {
		fields = append(fields, wit.StringEntry(fieldValues, strings.Join(values, ",")))
	}
	if len(done) > 0 {
		fields = append(fields, wit.StringEntry(fieldDone, strings.Join(done, ",")))
	}
	if len(sent) > 0 {
		fields = append(fields, wit.StringEntry(fieldSent, strings.Join(sent, ",")))
		if r.known != "" {
			fields = append(fields, wit.StringEntry(fieldKnown, string(r.known)))
		}
	}
	return fields
}

func parseReplayState(stored []wit.OffsetEntry) (r replayState, err error) {
	fields, err := source.PluginFields(stored)
	if err != nil {
		return r, err
	}
	for _, field := range fields {
		switch v := field.Value; {
		case field.Name == fieldNext && v.Integer != nil:
			r.markDone(0, *v.Integer-1)
		case field.Name == fieldTopic && v.String != nil:
			r.topicID = *v.String
		case field.Name == fieldKnown && v.String != nil && len(*v.String) <= wit.MaxKnown:
			r.known = wit.Known(*v.String)
		case (field.Name == fieldDone || field.Name == fieldSent) && v.String != nil:
			for part := range strings.SplitSeq(*v.String, ",") {
				first, last, isRun := strings.Cut(part, "-")
				from, err := strconv.ParseInt(first, 10, 64)
				to := from
				if isRun && err == nil {
					to, err = strconv.ParseInt(last, 10, 64)
				}
				if err != nil || from < 0 || from > to || isRun != (field.Name == fieldDone) {
					return r, fmt.Errorf("field %s: expected offsets, as 1-3,5-5 or 1,3, found %.100q", field.Name,
						part)
				}
				if isRun {
					r.markDone(from, to)
				} else if r.inDoubt[from] == "" { // the field of values may precede this one
					r.setInDoubt(from, "")
				}
			}
		case field.Name == fieldValues && v.String != nil:
			for part := range strings.SplitSeq(*v.String, ",") {
				position, digest, _ := strings.Cut(part, ":")
				pos, err := strconv.ParseInt(position, 10, 64)
				if err != nil || pos < 0 || digest == "" {
					return r, fmt.Errorf("field %s: expected offsets with digests, as 3:0a,5:0b, found %.100q",
						fieldValues, part)
				}
				r.setInDoubt(pos, digest)
			}
		default:
			return r, fmt.Errorf("expected next, done, sent, known, values and topic, found %s", field.Name)
		}
	}
	return r, nil
}
