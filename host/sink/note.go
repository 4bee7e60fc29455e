package sink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A note is what is stored beside a partition's committed offset, so that a task which is started anew writes nothing twice: which
// records behind that offset are settled, since lanes overtake each other; of which nobody knows whether they were written (P19), and
// which of those were sent once more because somebody decided so; and how far requests may have gone out whose outcome is not known,
// which only the note of a run that was killed says. It is made of texts such as `uncertain=0,5 decided=5 settled=1-3,7 reach=499`,
// counted from the committed offset. Whoever sets the group's offset by other means takes the note away with it, and all records from
// there on are written. Deliveries begin only where whatever comes of them has room in the note: see [ledger.begin].
type note struct {
	uncertain, decided, settled []span
	// reach is an offset, before the committed one for none.
	reach int64
}

// span is offsets from the first to the last.
type span struct{ first, last int64 }

func (s span) String() string {
	if s.first == s.last {
		return strconv.FormatInt(s.first, 10)
	}
	return strconv.FormatInt(s.first, 10) + "-" + strconv.FormatInt(s.last, 10)
}

// parseSpan reads 3 or 1-3.
func parseSpan(text string) (s span, ok bool) {
	first, last, some := strings.Cut(text, "-")
	if !some {
		last = first
	}
	var err1, err2 error
	s.first, err1 = strconv.ParseInt(first, 10, 64)
	s.last, err2 = strconv.ParseInt(last, 10, 64)
	return s, err1 == nil && err2 == nil && s.first >= 0 && s.last >= s.first
}

const uncertainName, decidedName, settledName, reachName = "uncertain", "decided", "settled", "reach"

// text is the note as it is stored beside the offset `next`.
func (n note) text(next int64) string {
	var out strings.Builder
	list := func(name string, spans []span) {
		for i, s := range spans {
			switch {
			case i > 0:
				out.WriteByte(',')
			case out.Len() > 0:
				out.WriteString(" " + name + "=")
			default:
				out.WriteString(name + "=")
			}
			out.WriteString(span{s.first - next, s.last - next}.String())
		}
	}
	list(uncertainName, n.uncertain)
	list(decidedName, n.decided)
	list(settledName, n.settled)
	if n.reach >= next {
		list(reachName, []span{{n.reach, n.reach}})
	}
	return out.String()
}

// Whoever may commit offsets of the group can write notes. maxUncertain is how many records behind the offset a note may call uncertain,
// each of which is kept; maxAhead how far behind it a record may lie.
const (
	maxUncertain = 100_000
	maxAhead     = 1 << 40
)

// readNote takes a note apart.
func readNote(next int64, text string) (n note, err error) {
	n.reach = -1
	left := int64(maxUncertain)
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		for _, one := range strings.Split(list, ",") {
			s, ok := parseSpan(one)
			if !ok || s.last > maxAhead {
				return note{}, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", one, text)
			}
			s = span{next + s.first, next + s.last}
			switch name {
			case settledName:
				n.settled = append(n.settled, s)
			case uncertainName:
				if left -= s.last - s.first + 1; left < 0 {
					return note{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxUncertain, text)
				}
				n.uncertain = append(n.uncertain, s)
			case decidedName:
				n.decided = append(n.decided, span{s.first, s.first})
			case reachName:
				n.reach = max(n.reach, s.last)
			default:
				return note{}, fmt.Errorf("expected settled, uncertain, decided or reach, found %.100q in %.1000q", name, text)
			}
		}
	}
	return n, nil
}

// noted takes what an earlier task, or an earlier run, has stored beside an offset, and what the connector's tasks know besides. What
// an operator has decided about uncertain records holds.
func (t *Task) noted(topic string, partition int32, next int64, text string) {
	n, err := readNote(next, text)
	if err != nil {
		t.fail(fmt.Errorf("topic %s, partition %d: what stands beside the group's offset %d is none of this version's notes, so that nobody knows which records behind it were written: %w; "+
			"look what the service has, and set the group's offset anew with Kafka's tools", topic, partition, next, err))
		return
	}
	at := place{topic, partition}
	unstored := t.o.Settled.take(t.life, at, next)
	settled := append(n.settled, unstored...)
	used := map[int64]int{}
	for _, s := range n.decided {
		used[s.first]++
	}
	for _, s := range n.uncertain {
		for offset := s.first; offset <= s.last; offset++ {
			one := spot{topic, partition, offset}
			if t.skip.count(one) > 0 {
				t.count.faults.Skipped.Add(1)
				t.log.Warn("a record that may not have been written is left out, as "+skipSetting+" says", "record", one.String())
				settled = append(settled, span{offset, offset})
				t.o.Uncertain.settled(one)
				continue
			}
			if t.o.Uncertain.decide(one, errEarlier, t.send.count(one), used[offset]) {
				t.log.Warn("a record that may have been written already is sent again, as "+sendSetting+" says", "record", one.String())
			}
		}
	}
	slices.SortFunc(settled, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	t.ledger.known(at, next, settled, n.reach, len(unstored) > 0)
}

var errEarlier = errors.New("an earlier run could not find out")
