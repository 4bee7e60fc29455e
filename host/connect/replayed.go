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

	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// replayOwner begins the names under which it is stored what was replayed of connectors' letters: no connector's, by
// its colon and blank.
const replayOwner = "culvert dlq replay: "

// replayPartition is what it is stored under for a partition of a topic of dead letters.
func replayPartition(topic string, partition int32) []wit.OffsetEntry {
	return []wit.OffsetEntry{wit.StringEntry("topic", topic), wit.IntegerEntry("partition", int64(partition))}
}

// ReplayStates are those of a topic that were replayed, or that another one of their record stood for then.
type ReplayStates struct {
	topic string
	// places are what is stored, by what it is stored under; one that cannot be read is an error.
	places map[string]replayPlace
}

// ReadReplayStates reads what was replayed of a topic of dead letters out of a worker's topic of offsets, which its
// settings name; where there is none yet nothing was.
func ReadReplayStates(ctx context.Context, reader *kafka.Reader, worker map[string]string,
	topic string) (*ReplayStates, error) {
	c, problems := offset.ParseConfig(worker)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	all := &ReplayStates{topic, map[string]replayPlace{}}
	_, err := reader.Read(ctx, c.Topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		owner, partition, err := offset.ParseKey(r.Key)
		if err != nil || !strings.HasPrefix(owner, replayOwner) {
			return nil
		}
		var fields []wit.OffsetEntry
		if r.Value != nil {
			fields, err = offset.ParseJSON(r.Value)
		}
		if err == nil {
			all.places[owner+offset.Identity(partition)], err = readReplayPlace(fields)
		}
		if err != nil {
			return fmt.Errorf("what is stored by %s: %w", owner, err)
		}
		return nil
	})
	if errors.Is(err, kafka.ErrUnknownTopic) {
		err = nil
	}
	return all, err
}

// IsReplayed tells whether a letter is one of them.
func (r *ReplayStates) IsReplayed(l *DeadLetter) bool {
	place := r.places[replayOwner+l.Connector+offset.Identity(replayPartition(r.topic, l.Record.Partition))]
	return l.Connector != "" && place.settled(l.Record.Offset)
}

// replayPlace is the state of the replay of one partition: done holds the ranges of replayed letters, in order and with
// gaps between them; sent holds letters that may or may not have been written; known is what a check of these must
// know.
type replayPlace struct {
	done  []run
	sent  map[int64]bool
	known wit.Known
}

// run is a range of offsets, both ends included.
type run struct{ first, last int64 }

func (r *replayPlace) clone() replayPlace {
	return replayPlace{slices.Clone(r.done), maps.Clone(r.sent), r.known}
}

// ahead returns the first offset that was not replayed, and the ranges after it.
func (r *replayPlace) ahead() (next int64, done []run) {
	if len(r.done) > 0 && r.done[0].first == 0 {
		return r.done[0].last + 1, r.done[1:]
	}
	return 0, r.done
}

// end returns the first offset after all that the place covers.
func (r *replayPlace) end() int64 {
	if n := len(r.done); n > 0 {
		return r.done[n-1].last + 1
	}
	return 0
}

func (r *replayPlace) settled(at int64) bool {
	_, found := r.find(at)
	return found
}

// find returns the range that contains an offset, or the one before which it would be inserted.
func (r *replayPlace) find(at int64) (place int, found bool) {
	place, _ = slices.BinarySearchFunc(r.done, at, func(one run, at int64) int { return cmp.Compare(one.last, at) })
	return place, place < len(r.done) && r.done[place].first <= at
}

// bounded returns an error if there are more ranges than can be stored.
func (r *replayPlace) bounded() error {
	_, done := r.ahead()
	if len(done) <= maxGaps {
		return nil
	}
	return fmt.Errorf("expected at most %d runs of letters that were replayed before others, found %d: replay the "+
		"others first, without a filter or with --older", maxGaps, len(done))
}

// doubt records whether it is unknown if a letter was written.
func (r *replayPlace) doubt(at int64, unknown bool) {
	if delete(r.sent, at); unknown && r.sent == nil {
		r.sent = map[int64]bool{}
	}
	if unknown {
		r.sent[at] = true
	}
}

// forget records that a letter was not replayed.
func (r *replayPlace) forget(at int64) {
	if i, found := r.find(at); found {
		r.done = slices.Replace(r.done, i, i+1, run{r.done[i].first, at - 1}, run{at + 1, r.done[i].last})
		r.done = slices.DeleteFunc(r.done, func(one run) bool { return one.first > one.last })
	}
}

// settle records that the letters from the first to the last were replayed, or do not exist.
func (r *replayPlace) settle(first, last int64) {
	if first > last {
		return
	}
	maps.DeleteFunc(r.sent, func(at int64, _ bool) bool { return at >= first && at <= last })
	i, _ := r.find(first - 1) // the range to extend, or before which to insert
	n := i
	for ; n < len(r.done) && r.done[n].first <= last+1; n++ {
		first, last = min(first, r.done[n].first), max(last, r.done[n].last)
	}
	r.done = slices.Replace(r.done, i, n, run{first, last})
}

// Names of the fields that a place is stored in.
const (
	fieldNext  = "next"
	fieldDone  = "done"
	fieldSent  = "sent"
	fieldKnown = "known" // earlier versions refuse it: their check would find no letters
)

func (r *replayPlace) fields() []wit.OffsetEntry {
	next, runs := r.ahead()
	fields := []wit.OffsetEntry{wit.IntegerEntry(fieldNext, next)}
	var done, sent []string
	for _, one := range runs {
		done = append(done, fmt.Sprintf("%d-%d", one.first, one.last))
	}
	for _, at := range slices.Sorted(maps.Keys(r.sent)) {
		sent = append(sent, strconv.FormatInt(at, 10))
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

// readReplayPlace decodes stored fields. Nil means that no letter was replayed.
func readReplayPlace(stored []wit.OffsetEntry) (r replayPlace, err error) {
	fields, err := source.PluginFields(stored)
	if err != nil {
		return r, err
	}
	for _, f := range fields {
		switch v := f.Value; {
		case f.Name == fieldNext && v.Integer != nil:
			r.settle(0, *v.Integer-1)
		case f.Name == fieldKnown && v.String != nil && len(*v.String) <= wit.MaxKnown:
			r.known = wit.Known(*v.String)
		case (f.Name == fieldDone || f.Name == fieldSent) && v.String != nil:
			for one := range strings.SplitSeq(*v.String, ",") {
				first, last, isRun := strings.Cut(one, "-")
				from, err := strconv.ParseInt(first, 10, 64)
				to := from
				if isRun && err == nil {
					to, err = strconv.ParseInt(last, 10, 64)
				}
				if err != nil || from < 0 || from > to || isRun != (f.Name == fieldDone) {
					return r, fmt.Errorf("field %s: expected offsets, as 1-3,5-5 or 1,3, found %.100q", f.Name, one)
				}
				if r.doubt(from, !isRun); isRun {
					r.settle(from, to)
				}
			}
		default:
			return r, fmt.Errorf("expected next, done, sent and known, found %s", f.Name)
		}
	}
	return r, nil
}
