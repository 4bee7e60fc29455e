package sink

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/kafka"
)

// A note is what is stored beside a partition's committed offset, so that a task which is started anew writes nothing twice: which
// records behind that offset are settled, since lanes overtake each other, and of which nobody knows whether they were written (P19).
// It is made of texts such as `settled=1-3,7 uncertain=0`, counted from the committed offset. Whoever sets the group's offset by other
// means takes the note away with it, and all records from there on are written.

// span is offsets from the first to the last.
type span struct{ first, last int64 }

func (s span) String() string {
	if s.first == s.last {
		return strconv.FormatInt(s.first, 10)
	}
	return strconv.FormatInt(s.first, 10) + "-" + strconv.FormatInt(s.last, 10)
}

const settledName, uncertainName = "settled", "uncertain"

// writeNote puts together a note. Where it gets too long, what lies farthest behind the offset is left out: that comes again.
func writeNote(next int64, settled, uncertain []span) string {
	var out strings.Builder
	list := func(name string, spans []span) {
		for n, s := range spans {
			text := span{s.first - next, s.last - next}.String()
			if n == 0 {
				text = name + "=" + text
			} else {
				text = "," + text
			}
			if out.Len()+len(text) >= kafka.LongestNote {
				return
			}
			out.WriteString(text)
		}
	}
	list(uncertainName, uncertain)
	if len(uncertain) > 0 && len(settled) > 0 {
		out.WriteByte(' ')
	}
	list(settledName, settled)
	return out.String()
}

// Whoever may commit offsets of the group can write notes. maxUncertain is how many records behind the offset a note may call uncertain,
// each of which is kept; maxAhead how far behind it a record may lie.
const (
	maxUncertain = 100_000
	maxAhead     = 1 << 40
)

// readNote takes a note apart.
func readNote(next int64, note string) (settled, uncertain []span, err error) {
	left := int64(maxUncertain)
	for _, part := range strings.Fields(note) {
		name, list, _ := strings.Cut(part, "=")
		for _, text := range strings.Split(list, ",") {
			first, last, ok := strings.Cut(text, "-")
			if !ok {
				last = first
			}
			from, err1 := strconv.ParseInt(first, 10, 64)
			to, err2 := strconv.ParseInt(last, 10, 64)
			if err1 != nil || err2 != nil || from < 0 || to < from || to > maxAhead {
				return nil, nil, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", text, note)
			}
			s := span{next + from, next + to}
			switch name {
			case settledName:
				settled = append(settled, s)
			case uncertainName:
				if left -= to - from + 1; left < 0 {
					return nil, nil, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxUncertain, note)
				}
				uncertain = append(uncertain, s)
			default:
				return nil, nil, fmt.Errorf("expected settled or uncertain, found %.100q in %.1000q", name, note)
			}
		}
	}
	return settled, uncertain, nil
}

// note is what is to be stored beside an offset of a partition.
func (t *Task) note(topic string, partition int32, next int64) string {
	settled := t.ledger.ahead(place{topic, partition}, next)
	return writeNote(next, settled, t.o.Uncertain.of(topic, partition, next))
}

// noted takes what an earlier task, or an earlier run, has stored beside an offset, and what the connector's tasks know besides. What
// an operator has decided about uncertain records holds.
func (t *Task) noted(topic string, partition int32, next int64, note string) {
	settled, uncertain, err := readNote(next, note)
	if err != nil {
		t.log.Warn("what stands beside a committed offset is of another version: records behind it may be written again", "topic", topic,
			"partition", partition, "offset", next, "error", err)
	}
	at := place{topic, partition}
	settled = append(settled, t.o.Settled.take(t.life, at, next)...)
	for _, s := range uncertain {
		for offset := s.first; offset <= s.last; offset++ {
			one := spot{topic, partition, offset}
			switch {
			case slices.Contains(t.o.Send, one.String()):
				t.log.Warn("a record that may have been written already is sent again, as "+sendSetting+" says", "record", one.String())
			case slices.Contains(t.o.Skip, one.String()):
				t.count.skipped.Add(1)
				t.log.Warn("a record that may not have been written is left out, as "+skipSetting+" says", "record", one.String())
				settled = append(settled, span{offset, offset})
			default:
				t.o.Uncertain.put(one, errors.New("an earlier run got no answer; "+one.advice()))
			}
		}
	}
	slices.SortFunc(settled, func(a, b span) int { return int(a.first - b.first) })
	t.ledger.known(at, next, settled)
}

// The settings by which an operator decides.
const sendSetting, skipSetting = "errors.uncertain.send", "errors.uncertain.skip"

func (s spot) String() string { return fmt.Sprintf("%s-%d@%d", s.topic, s.partition, s.offset) }

func (s spot) advice() string {
	return fmt.Sprintf("look whether the service has it, then set %s=%s to have it sent again, or %s=%s to leave it out", sendSetting, s, skipSetting, s)
}
