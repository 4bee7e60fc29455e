package sink

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// metadata is the commit's metadata, called note in short: what is stored beside a partition's committed offset, so
// that a task which is started anew writes nothing twice: which records behind that offset are settled, since lanes
// overtake each other; of which nobody knows whether they were written (P19), and which of those were sent once more
// because somebody decided so; and which are on their way by requests that must not be sent twice: in the metadata of a
// run that was killed these, too, may have been written or not. It is made of texts such as `uncertain=0,5 decided=5
// sent=8-9 settled=1-3,7`, counted from the committed offset. Whoever sets the group's offset by other means takes the
// metadata away with it, and all records from there on are written. Deliveries begin only where whatever comes of them
// has room in the metadata: see [ledger.begin].
type metadata struct{ uncertain, decided, sent, settled []offsetRange }

// offsetRange is offsets from the first to the last.
type offsetRange struct{ first, last int64 }

func (s offsetRange) String() string {
	if s.first == s.last {
		return strconv.FormatInt(s.first, 10)
	}
	return strconv.FormatInt(s.first, 10) + "-" + strconv.FormatInt(s.last, 10)
}

// parseOffsetRange reads 3 or 1-3.
func parseOffsetRange(text string) (s offsetRange, ok bool) {
	first, last, some := strings.Cut(text, "-")
	if !some {
		last = first
	}
	var err1, err2 error
	s.first, err1 = strconv.ParseInt(first, 10, 64)
	s.last, err2 = strconv.ParseInt(last, 10, 64)
	return s, err1 == nil && err2 == nil && s.first >= 0 && s.last >= s.first
}

const uncertainName, decidedName, sentName, settledName = "uncertain", "decided", "sent", "settled"

// reachName is of earlier versions, which said only how far requests had gone out: records up to there that are not
// settled may have been sent. It is read and never written.
const reachName = "reach"

// text is the note as it is stored beside the offset `next`.
func (n metadata) text(next int64) string {
	var out strings.Builder
	list := func(name string, spans []offsetRange) {
		for i, s := range spans {
			switch {
			case i > 0:
				out.WriteByte(',')
			case out.Len() > 0:
				out.WriteString(" " + name + "=")
			default:
				out.WriteString(name + "=")
			}
			out.WriteString(offsetRange{s.first - next, s.last - next}.String())
		}
	}
	list(uncertainName, n.uncertain)
	list(decidedName, n.decided)
	list(sentName, n.sent)
	list(settledName, n.settled)
	return out.String()
}

// Whoever may commit offsets of the group can write notes. maxUncertain is how many records behind the offset a note
// may call uncertain or sent, each of which is kept; maxAhead how far behind it a record may lie.
const (
	maxUncertain = 100_000
	maxAhead     = 1 << 40
)

// readNote takes a note apart.
func readNote(next int64, text string) (n metadata, err error) {
	left, reach := int64(maxUncertain), next-1
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		for _, one := range strings.Split(list, ",") {
			s, ok := parseOffsetRange(one)
			if !ok || s.last > maxAhead {
				return metadata{}, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", one, text)
			}
			s = offsetRange{next + s.first, next + s.last}
			switch name {
			case settledName:
				n.settled = append(n.settled, s)
			case uncertainName, sentName:
				if left -= s.last - s.first + 1; left < 0 {
					return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxUncertain, text)
				}
				if name == sentName {
					n.sent = append(n.sent, s)
				} else {
					n.uncertain = append(n.uncertain, s)
				}
			case reachName:
				reach = max(reach, s.last)
			case decidedName:
				n.decided = append(n.decided, offsetRange{s.first, s.first})
			default:
				return metadata{}, fmt.Errorf("expected settled, uncertain, decided or sent, found %.100q in %.1000q", name, text)
			}
		}
	}
	for _, s := range gaps(offsetRange{next, reach}, slices.Concat(n.settled, n.uncertain, n.sent)) {
		if left -= s.last - s.first + 1; left < 0 {
			return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxUncertain, text)
		}
		n.sent = append(n.sent, s)
	}
	return n, nil
}

// gaps are what of a span is in none of the others.
func gaps(whole offsetRange, others []offsetRange) (left []offsetRange) {
	slices.SortFunc(others, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	for _, o := range others {
		if o.first > whole.first && whole.first <= whole.last {
			left = append(left, offsetRange{whole.first, min(o.first-1, whole.last)})
		}
		whole.first = max(whole.first, o.last+1)
	}
	if whole.first <= whole.last {
		left = append(left, whole)
	}
	return left
}

// noted takes what an earlier task, or an earlier run, has stored beside an offset, and what the connector's tasks know
// besides. What an operator has decided about uncertain records holds.
func (t *Task) noted(topic string, partition int32, next int64, text string) {
	n, err := readNote(next, text)
	if err != nil {
		t.fail(fmt.Errorf("topic %s, partition %d: what stands beside the group's offset %d is none of this version's notes, so that nobody knows which records behind it were written: %w; "+
			"look what the service has, and set the group's offset anew with Kafka's tools", topic, partition, next, err))
		return
	}
	at := topicPartition{topic, partition}
	unstored, ours := t.o.Settled.take(t.life, at, next, text)
	settled := append(n.settled, unstored...)
	used := map[int64]int{}
	for _, s := range n.decided {
		used[s.first]++
	}
	open, why := map[int64]bool{}, map[int64]error{}
	for _, s := range n.sent {
		for offset := s.first; offset <= s.last && !ours; offset++ {
			if !within(unstored, offsetRange{offset, offset}) { // settled by this process since
				why[offset] = errKilled
			}
		}
	}
	for _, s := range n.uncertain {
		for offset := s.first; offset <= s.last; offset++ {
			why[offset] = errEarlier
		}
	}
	for _, offset := range slices.Sorted(maps.Keys(why)) {
		one := recordID{topic, partition, offset}
		if t.skip.count(one) > 0 {
			t.count.faults.Skipped.Add(1)
			t.log.Warn("a record that may not have been written is left out, as "+skipSetting+" says", "record", one.String())
			settled = append(settled, offsetRange{offset, offset})
			t.o.Uncertain.settled(one)
			continue
		}
		if t.o.Uncertain.decide(one, why[offset], t.send.count(one), used[offset]) {
			t.log.Warn("a record that may have been written already is sent again, as "+sendSetting+" says", "record", one.String())
		} else {
			open[offset] = true
		}
	}
	for offset, times := range used {
		if why[offset] == nil {
			t.o.Uncertain.remember(recordID{topic, partition, offset}, times)
		}
	}
	slices.SortFunc(settled, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	t.ledger.known(at, next, settled, open, len(unstored) > 0 || len(n.sent) > 0)
}

var (
	errEarlier = errors.New("an earlier run could not find out")
	errKilled  = errors.New("a run before this one, which was killed, may have written it")
)
