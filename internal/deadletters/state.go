package deadletters

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/wit"
)

// stateOwnerPrefix begins the owner of replay states. No connector has such a name, because of the colon.
const stateOwnerPrefix = "culvert dlq replay: "

// stateKey identifies the replay state of a partition of a dead letter topic among those of a connector.
func stateKey(topic string, partition int32) []wit.OffsetEntry {
	return []wit.OffsetEntry{wit.StringEntry("topic", topic), wit.IntegerEntry("partition", int64(partition))}
}

// readStates reads the replay states of a dead letter topic from the offsets topic of a worker: by connector and
// partition, none if that topic is missing.
func readStates(ctx context.Context, reader *kafka.Reader, worker map[string]string,
	topic string) (map[string]map[int32]replayState, error) {
	offsetsConfig, problems := offset.ParseConfig(worker)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	newest := map[string]map[int32]*kgo.Record{}
	_, err := reader.Read(ctx, offsetsConfig.Topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		owner, key, err := offset.ParseKey(r.Key)
		connector, ok := strings.CutPrefix(owner, stateOwnerPrefix)
		if err != nil || !ok {
			return nil
		}
		for _, field := range key {
			if field.Name != "partition" || field.Value.Integer == nil {
				continue
			}
			partition := int32(*field.Value.Integer)
			if offset.Identity(key) == offset.Identity(stateKey(topic, partition)) { // not of another topic
				if newest[connector] == nil {
					newest[connector] = map[int32]*kgo.Record{}
				}
				newest[connector][partition] = r
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, kafka.ErrUnknownTopic) {
		return nil, err
	}
	states := map[string]map[int32]replayState{}
	for connector, partitions := range newest {
		states[connector] = map[int32]replayState{}
		for partition, r := range partitions {
			var fields []wit.OffsetEntry
			if r.Value != nil {
				fields, err = offset.ParseJSON(r.Value)
			}
			if err == nil {
				states[connector][partition], err = parseReplayState(fields)
			}
			if err != nil {
				return nil, fmt.Errorf("stored replay state %s: %w", r.Key, err)
			}
		}
	}
	return states, nil
}

// statesOf returns the states of a topic with these offsets. It leaves out states of an earlier topic with the same
// name: they settle nothing.
func statesOf(states map[int32]replayState, offsets kafka.Range) map[int32]replayState {
	current := map[int32]replayState{}
	for partition, state := range states {
		if state.canBeOf(offsets.TopicID) && state.end() <= offsets.To[partition] {
			current[partition] = state
		}
	}
	return current
}

// parsedState is a replay state with the fields that it was parsed from.
type parsedState struct {
	fields []wit.OffsetEntry
	state  replayState
	err    error
}

// update parses fields unless they are the same slice as before: a store keeps the slice until another state is stored.
func (p *parsedState) update(fields []wit.OffsetEntry) {
	if len(fields) == len(p.fields) && (len(fields) == 0 || &fields[0] == &p.fields[0]) {
		return
	}
	p.fields = fields
	p.state, p.err = parseReplayState(fields)
}

// replayState is the stored state of the replay of one partition.
type replayState struct {
	topicID string        // [kafka.Range.TopicID]
	settled []offsetRange // settled dead letters, sorted and with gaps between the ranges
	// inDoubt has letters that may have been written, with the digest of the value that replaced theirs, or "".
	inDoubt map[int64]string
	known   wit.Known // what the sink must know to check letters in doubt
}

// offsetRange includes first and last.
type offsetRange struct{ first, last int64 }

func (r *replayState) clone() replayState {
	cloned := *r
	cloned.settled = slices.Clone(r.settled)
	cloned.inDoubt = maps.Clone(r.inDoubt)
	return cloned
}

// canBeOf reports whether the state is of a topic, unless it is known to be of another topic with the same name.
func (r *replayState) canBeOf(topicID string) bool {
	return r.topicID == "" || topicID == "" || r.topicID == topicID
}

// next returns the offset before which all dead letters are settled, and the other ranges.
func (r *replayState) next() (next int64, others []offsetRange) {
	if len(r.settled) > 0 && r.settled[0].first == 0 {
		return r.settled[0].last + 1, r.settled[1:]
	}
	return 0, r.settled
}

func (r *replayState) end() int64 {
	if n := len(r.settled); n > 0 {
		return r.settled[n-1].last + 1
	}
	return 0
}

func (r *replayState) isSettled(pos int64) bool {
	_, ok := r.find(pos)
	return ok
}

// find returns the index of the range that contains an offset. If ok is false, i is the index of the next range.
func (r *replayState) find(pos int64) (i int, ok bool) {
	i, _ = slices.BinarySearchFunc(r.settled, pos, func(span offsetRange, pos int64) int {
		return cmp.Compare(span.last, pos)
	})
	return i, i < len(r.settled) && r.settled[i].first <= pos
}

// ranges returns the number of stored ranges.
func (r *replayState) ranges() int {
	_, others := r.next()
	return len(others)
}

// Bounds of the stored state of a partition. A state with more ranges is stored as a bitmap, whose text fits a record
// of the largest size that brokers accept by default.
const (
	maxSettledRanges = 10_000
	maxSettledBitmap = 512 << 10 // bytes of the bitmap, so it has 4,194,304 offsets
)

// ErrTooManyRanges means that the stored state of a partition would exceed its bound.
var ErrTooManyRanges = fmt.Errorf("settled dead letters with gaps between them are stored in at most %d ranges, or "+
	"within %d offsets", maxSettledRanges, 8*maxSettledBitmap)

// checkBounds returns an error if the state needs a larger bitmap than is stored, and has more than the previous number
// of ranges. The error wraps [ErrTooManyRanges].
func (r *replayState) checkBounds(previous int) error {
	next, ranges := r.next()
	if len(ranges) <= max(maxSettledRanges, previous) || r.fitsBitmap() {
		return nil
	}
	return fmt.Errorf("%w, and this would make %d ranges within %d offsets: replay or discard the dead letters in the "+
		"gaps first, without a filter or with --older", ErrTooManyRanges, len(ranges), r.end()-next)
}

// fitsBitmap reports whether a bitmap may have all settled letters.
func (r *replayState) fitsBitmap() bool {
	next, _ := r.next()
	return r.end()-next <= 8*maxSettledBitmap
}

// setInDoubt records that a dead letter may have been written. digest is "" for its own value, see
// [Request.valueDigest].
func (r *replayState) setInDoubt(pos int64, digest string) {
	if r.inDoubt == nil {
		r.inDoubt = map[int64]string{}
	}
	r.inDoubt[pos] = digest
}

// unmark records that a dead letter is not settled.
func (r *replayState) unmark(pos int64) {
	if i, ok := r.find(pos); ok {
		before := offsetRange{first: r.settled[i].first, last: pos - 1}
		after := offsetRange{first: pos + 1, last: r.settled[i].last}
		r.settled = slices.Replace(r.settled, i, i+1, before, after)
		r.settled = slices.DeleteFunc(r.settled, func(span offsetRange) bool { return span.first > span.last })
	}
}

// markSettled records that the dead letters from first to last are settled or do not exist. They are not in doubt then.
func (r *replayState) markSettled(first, last int64) {
	if first > last {
		return
	}
	if last-first < int64(len(r.inDoubt)) { // iterate over the smaller set
		for pos := first; pos <= last; pos++ {
			delete(r.inDoubt, pos)
		}
	} else {
		maps.DeleteFunc(r.inDoubt, func(pos int64, _ string) bool { return pos >= first && pos <= last })
	}
	start, _ := r.find(first - 1) // the range to extend, or where to insert one
	end := start
	for ; end < len(r.settled) && r.settled[end].first <= last+1; end++ {
		first = min(first, r.settled[end].first)
		last = max(last, r.settled[end].last)
	}
	r.settled = slices.Replace(r.settled, start, end, offsetRange{first: first, last: last})
}

// Fields of the stored state.
const (
	fieldNext = "next" // all letters before this offset are settled
	fieldDone = "done" // other ranges of settled letters
	// fieldBitmap replaces fieldDone if there are many ranges: a bit for each offset from fieldNext on, the lowest bit
	// of a byte first, in base64.
	fieldBitmap = "bitmap"
	fieldSent   = "sent"   // letters in doubt
	fieldKnown  = "known"  // what the sink must know to check the letters in doubt
	fieldValues = "values" // digests of other values that were sent, as OFFSET:DIGEST
	fieldTopic  = "topic"  // the topic's ID, omitted before Kafka 2.8
)

func (r *replayState) fields() []wit.OffsetEntry {
	next, ranges := r.next()
	fields := []wit.OffsetEntry{wit.IntegerEntry(fieldNext, next)}
	if r.topicID != "" {
		fields = append(fields, wit.StringEntry(fieldTopic, r.topicID))
	}
	var done, sent, values []string
	isBitmap := len(ranges) > maxSettledRanges && r.fitsBitmap()
	for _, span := range ranges {
		if !isBitmap {
			done = append(done, fmt.Sprintf("%d-%d", span.first, span.last))
		}
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
	if isBitmap {
		bitmap := make([]byte, (r.end()-1-next)/8+1) // up to the byte of the last settled offset
		for _, span := range ranges {
			for pos := span.first - next; pos <= span.last-next; pos++ {
				bitmap[pos/8] |= 1 << (pos % 8)
			}
		}
		fields = append(fields, wit.StringEntry(fieldBitmap, base64.StdEncoding.EncodeToString(bitmap)))
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

// addBitmap adds the ranges of fieldBitmap. fieldNext was parsed before.
func (r *replayState) addBitmap(text string) error {
	next, _ := r.next()
	if len(text) > base64.StdEncoding.EncodedLen(maxSettledBitmap) {
		return fmt.Errorf("field %s: expected at most %d bytes, found more", fieldBitmap, maxSettledBitmap)
	}
	bitmap, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("field %s: %w", fieldBitmap, err)
	}
	isSet := func(pos int) bool { return pos < 8*len(bitmap) && bitmap[pos/8]>>(pos%8)&1 == 1 }
	first := 0
	for pos := range 8 * len(bitmap) {
		switch {
		case !isSet(pos):
			first = pos + 1
		case !isSet(pos + 1):
			if err := r.appendSettled(fieldBitmap, next+int64(first), next+int64(pos)); err != nil {
				return err
			}
		}
	}
	return nil
}

// errReplayState is the end of each error of parseReplayState.
var errReplayState = errors.New("culvert dlq replay --again ignores this state, sends all letters again, and " +
	"replaces it")

// parseReplayState parses the stored form of a state in one pass, so the time is proportional to its size. Nil is the
// state of a partition without settled letters.
func parseReplayState(stored []wit.OffsetEntry) (r replayState, err error) {
	fields, err := source.PluginFields(stored)
	if err == nil {
		err = r.parse(fields)
	}
	if err != nil {
		return replayState{}, fmt.Errorf("%w: %w", err, errReplayState)
	}
	return r, nil
}

func (r *replayState) parse(fields []wit.OffsetEntry) (err error) {
	// fieldNext is parsed first, because the other ranges follow it.
	if i := slices.IndexFunc(fields, func(f wit.OffsetEntry) bool { return f.Name == fieldNext }); i > 0 {
		fields = slices.Concat(fields[i:i+1], fields[:i], fields[i+1:])
	}
	for _, field := range fields {
		switch v := field.Value; {
		case field.Name == fieldNext && v.Integer != nil:
			if *v.Integer > 0 {
				err = r.appendSettled(field.Name, 0, *v.Integer-1)
			}
		case field.Name == fieldTopic && v.String != nil:
			r.topicID = *v.String
		case field.Name == fieldKnown && v.String != nil && len(*v.String) <= wit.MaxKnown:
			r.known = wit.Known(*v.String)
		case field.Name == fieldBitmap && v.String != nil:
			err = r.addBitmap(*v.String)
		case (field.Name == fieldDone || field.Name == fieldSent) && v.String != nil:
			err = r.addOffsets(field.Name, *v.String)
		case field.Name == fieldValues && v.String != nil:
			err = r.addDigests(*v.String)
		default:
			err = fmt.Errorf("expected next, done, bitmap, sent, known, values and topic, found %s", field.Name)
		}
		if err != nil {
			return err
		}
	}
	maps.DeleteFunc(r.inDoubt, func(pos int64, _ string) bool { return r.isSettled(pos) })
	return nil
}

// appendSettled adds a range after all others. It returns an error unless there is a gap before it.
func (r *replayState) appendSettled(field string, first, last int64) error {
	if n := len(r.settled); n > 0 && first-1 <= r.settled[n-1].last {
		return fmt.Errorf("field %s: expected ascending ranges with gaps between them, as 1-3,5-5, found %d-%d after "+
			"offset %d", field, first, last, r.settled[n-1].last)
	}
	r.settled = append(r.settled, offsetRange{first: first, last: last})
	return nil
}

// addOffsets adds the ranges of fieldDone or the offsets of fieldSent.
func (r *replayState) addOffsets(field, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		before, after, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseInt(before, 10, 64)
		last := first
		if isRange && err == nil {
			last, err = strconv.ParseInt(after, 10, 64)
		}
		if err != nil || first < 0 || first > last || last == math.MaxInt64 || isRange != (field == fieldDone) {
			return fmt.Errorf("field %s: expected offsets, as 1-3,5-5 or 1,3, found %.100q", field, part)
		}
		if isRange {
			if err := r.appendSettled(field, first, last); err != nil {
				return err
			}
		} else if r.inDoubt[first] == "" { // fieldValues may precede this field
			r.setInDoubt(first, "")
		}
	}
	return nil
}

func (r *replayState) addDigests(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		position, digest, _ := strings.Cut(part, ":")
		pos, err := strconv.ParseInt(position, 10, 64)
		if err != nil || pos < 0 || digest == "" {
			return fmt.Errorf("field %s: expected offsets with digests, as 3:0a,5:0b, found %.100q", fieldValues, part)
		}
		r.setInDoubt(pos, digest)
	}
	return nil
}
