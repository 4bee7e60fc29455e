package sink

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// metadata is stored with the committed offset of a partition, so that a restarted task writes nothing twice. It lists
// the records after that offset that are settled (lanes overtake each other), that are in doubt, that an operator's
// decision to send again was used up for, and that non-repeatable requests in flight contain: after a crash these are
// in doubt, too (RATIONALE.md P19). Its text has lists such as `uncertain=0,5 decided=5 sent=8-9 settled=1-3,7`,
// relative to the committed offset, or a bitmap if the lists get long, see [bitmapName]. Setting the group's offset by
// other means drops the metadata, and all records from there on are written. A delivery starts only if the metadata
// have room for its outcome, see [deliveryStart].
//
// `relocated` is not empty if the metadata were written for another log, see [Task.restorePartition]: it is the range
// of offsets in doubt for that reason, in the text `moved=0-8`. `known=nGa3,f81x` is what the plugin knew of the
// service, see [wit.Known].
type metadata struct {
	inDoubt       []offsetRange
	usedDecisions []offsetRange
	inFlight      []offsetRange
	settled       []offsetRange
	relocated     []offsetRange // one range at most
	known         wit.Known
}

const (
	inDoubtName   = "uncertain"
	decidedName   = "decided"
	inFlightName  = "sent"
	settledName   = "settled"
	relocatedName = "moved"
	knownName     = "known"
)

const listOnlyLength = 64 // the length of lists up to which a bitmap is not tried

func (m metadata) encode(next int64) (text string) {
	if lists := m.listsLength(next); lists > listOnlyLength {
		if bitmap := m.encodeBitmap(next); bitmap != "" && len(bitmap) < lists {
			text = bitmap
		}
	}
	if text == "" {
		text = m.encodeLists(next)
	}
	if len(m.relocated) > 0 {
		text += " " + relocatedName + "=" + offsetRange{m.relocated[0].first - next,
			m.relocated[0].last - next}.String()
	}
	if m.known != "" {
		text += " " + knownName + "=" + string(m.known)
	}
	return strings.TrimPrefix(text, " ")
}

// lastOffsets returns the last offset, and the last that was read (settled or in flight); next-1 for none.
func (m metadata) lastOffsets(next int64) (last, read int64) {
	read = next - 1
	for _, s := range slices.Concat(m.settled, m.inFlight) {
		read = max(read, s.last)
	}
	last = read
	for _, s := range m.inDoubt {
		last = max(last, s.last)
	}
	return last, read
}

type namedRanges struct {
	name   string
	ranges []offsetRange
}

func (m metadata) namedLists() [4]namedRanges {
	return [...]namedRanges{{inDoubtName, m.inDoubt}, {decidedName, m.usedDecisions}, {inFlightName, m.inFlight},
		{settledName, m.settled}}
}

func (m metadata) listsLength(next int64) (length int) {
	for _, list := range m.namedLists() {
		if len(list.ranges) == 0 {
			continue
		}
		length += len(list.name) + 1 // the last range has no comma, in place of the blank
		for _, s := range list.ranges {
			length += s.cost(next)
		}
	}
	return max(length-1, 0)
}

func (o offsetRange) cost(next int64) int {
	n := digits(o.first-next) + 1
	if o.last > o.first {
		n += digits(o.last-next) + 1
	}
	return n
}

func digits(n int64) (count int) {
	for count = 1; n >= 10; n /= 10 {
		count++
	}
	return count
}

func (m metadata) encodeLists(next int64) string {
	var out strings.Builder
	for _, list := range m.namedLists() {
		for i, s := range list.ranges {
			switch {
			case i > 0:
				out.WriteByte(',')
			case out.Len() > 0:
				out.WriteString(" " + list.name + "=")
			default:
				out.WriteString(list.name + "=")
			}
			out.WriteString(offsetRange{s.first - next, s.last - next}.String())
		}
	}
	return out.String()
}

const (
	// maxInDoubt bounds the offsets in doubt or in flight, each of which takes memory, and maxAhead their distance:
	// every client that may commit offsets of the group can write metadata.
	maxInDoubt = 100_000
	maxAhead   = 1 << 40
)

func parseMetadata(next int64, text string) (metadata, error) {
	p := metadataParser{next: next, text: text, budget: maxInDoubt}
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		switch name {
		case knownName:
			if len(list) > wit.MaxKnown {
				return metadata{}, fmt.Errorf("expected at most %d bytes that the plugin knew, found %.100q",
					wit.MaxKnown, list)
			}
			p.known = wit.Known(list)
			continue
		case bitmapName:
			if !p.parseBitmap(p.next, list, &p.budget) {
				return metadata{}, fmt.Errorf("expected states of at most %d uncertain records as 8:Ab-_, "+
					"found %.100q in %.1000q", maxInDoubt, list, p.text)
			}
			continue
		}
		for _, element := range strings.Split(list, ",") {
			offsets, ok := parseOffsetRange(element)
			if !ok || offsets.last > maxAhead {
				return metadata{}, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", element, p.text)
			}
			if err := p.add(name, offsetRange{p.next + offsets.first, p.next + offsets.last}); err != nil {
				return metadata{}, err
			}
		}
	}
	return p.metadata, nil
}

type metadataParser struct {
	metadata
	next   int64
	text   string
	budget int64 // how many more offsets may be in doubt or in flight
}

func (p *metadataParser) add(name string, offsets offsetRange) error {
	switch name {
	case settledName:
		p.settled = append(p.settled, offsets)
	case inDoubtName:
		p.inDoubt = append(p.inDoubt, offsets)
		return p.spend(offsets)
	case inFlightName:
		p.inFlight = append(p.inFlight, offsets)
		return p.spend(offsets)
	case relocatedName:
		p.relocated = append(p.relocated[:0], offsets)
	case decidedName:
		p.usedDecisions = append(p.usedDecisions, offsetRange{offsets.first, offsets.first})
	default:
		return fmt.Errorf("expected settled, uncertain, decided or sent, found %.100q in %.1000q", name, p.text)
	}
	return nil
}

func (p *metadataParser) spend(offsets offsetRange) error {
	if p.budget -= offsets.last - offsets.first + 1; p.budget < 0 {
		return fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxInDoubt, p.text)
	}
	return nil
}
