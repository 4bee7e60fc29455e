package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// metadata is stored with a partition's committed offset, so that a restarted task writes nothing twice. It says of the
// records after that offset which are settled (lanes overtake each other), which are in doubt (P19), for which a
// decision to send them again was used up, and which are in flight by non-repeatable requests or announced for these:
// after a kill these are in doubt, too. Its text has lists such as `uncertain=0,5 decided=5 sent=8-9 settled=1-3,7`,
// relative to the committed offset, or a bitmap (see bitmapName) if the lists get long. Setting the group's offset by
// other means drops the metadata, and all records from there on are written. A delivery starts only if the metadata
// have room for its outcome: see [deliveryStart].
//
// `moved=0-8` are offsets in doubt that may have been written from another topic or offset, see
// [Task.restorePartition]; `known=nGa3,f81x` is what the plugin knew of the service, see [wit.Known].
type metadata struct {
	inDoubt, usedDecisions, inFlight, settled []offsetRange
	relocated                                 []offsetRange // one range at most
	known                                     wit.Known
}

const inDoubtName, decidedName, inFlightName, settledName = "uncertain", "decided", "sent", "settled"

const relocatedName, knownName = "moved", "known"

// reachName was written by earlier versions: requests had been sent up to there, so unsettled records before it are in
// doubt.
const reachName = "reach"

// bitmapName replaces long lists: `near=8:Ab-_` is the state of each offset from 8 on, two bits each, three offsets in
// a character of URL-safe Base64, the first one in its lowest bits.
const bitmapName = "near"

const (
	stateOpen byte = iota
	stateSettled
	stateInFlight
	stateInDoubt
)

const bitmapDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func bitmapLength(offsets int64) int64 { return (offsets + 2) / 3 }

const listOnlyLength = 64

// encode returns the text that is stored with the offset next: the shorter one of lists and bitmap.
func (n metadata) encode(next int64) (text string) {
	if lists := n.listsLength(next); lists > listOnlyLength {
		if bitmap := n.encodeBitmap(next); bitmap != "" && len(bitmap) < lists {
			text = bitmap
		}
	}
	if text == "" {
		text = n.encodeLists(next)
	}
	if len(n.relocated) > 0 {
		text += " " + relocatedName + "=" + offsetRange{n.relocated[0].first - next,
			n.relocated[0].last - next}.String()
	}
	if n.known != "" {
		text += " " + knownName + "=" + string(n.known)
	}
	return strings.TrimPrefix(text, " ")
}

// lastOffsets returns the last offset in the metadata, and the last one that was read; next-1 for none.
func (n metadata) lastOffsets(next int64) (all, read int64) {
	read = next - 1
	for _, s := range slices.Concat(n.settled, n.inFlight) {
		read = max(read, s.last)
	}
	all = read
	for _, s := range n.inDoubt {
		all = max(all, s.last)
	}
	return all, read
}

type namedRanges struct {
	name   string
	ranges []offsetRange
}

func (n metadata) namedLists() [4]namedRanges {
	return [...]namedRanges{{inDoubtName, n.inDoubt}, {decidedName, n.usedDecisions}, {inFlightName, n.inFlight},
		{settledName, n.settled}}
}

func (n metadata) listsLength(next int64) (length int) {
	for _, list := range n.namedLists() {
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

func (s offsetRange) cost(next int64) int {
	n := digits(s.first-next) + 1
	if s.last > s.first {
		n += digits(s.last-next) + 1
	}
	return n
}

func digits(n int64) (count int) {
	for count = 1; n >= 10; n /= 10 {
		count++
	}
	return count
}

func (n metadata) encodeLists(next int64) string {
	var out strings.Builder
	for _, list := range n.namedLists() {
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

type stateRange struct {
	offsetRange
	state byte
	cost  int64
}

func (n metadata) stateRanges(next int64) []stateRange {
	all := make([]stateRange, 0, len(n.inDoubt)+len(n.inFlight)+len(n.settled))
	add := func(ranges []offsetRange, state byte) {
		for _, s := range ranges {
			all = append(all, stateRange{s, state, int64(s.cost(next))})
		}
	}
	add(n.settled, stateSettled)
	add(n.inFlight, stateInFlight)
	add(n.inDoubt, stateInDoubt)
	slices.SortStableFunc(all, func(a, b stateRange) int { return cmp.Compare(a.first, b.first) })
	return all
}

// encodeBitmap returns the metadata with as many adjacent offsets in the bitmap as makes it shortest, empty if it is no
// shorter than lists. A settled range may precede the bitmap, in a list.
func (n metadata) encodeBitmap(next int64) string {
	all := n.stateRanges(next)
	length := int64(0)
	for _, s := range all {
		length += s.cost
	}
	from := 0
	if len(all) > 0 && all[0].state == stateSettled && bitmapLength(all[0].last-all[0].first+1) > all[0].cost {
		from = 1
	}
	to, end, best := from, int64(0), length
	for i, lastOffset := from, int64(0); i < len(all); i++ {
		lastOffset = max(lastOffset, all[i].last)
		length -= all[i].cost
		if whole := length + bitmapLength(lastOffset-all[from].first+1); whole < best {
			to, end, best = i+1, lastOffset, whole
		}
	}
	if to == from {
		return ""
	}
	first := all[from].first
	states := make([]byte, end-first+1)
	for _, s := range all[from:to] {
		for at := s.first; at <= s.last; at++ {
			switch prior := &states[at-first]; {
			case s.state == stateSettled || *prior == stateSettled: // also over a doubt about a compacted record
				*prior = stateSettled
			default: // uncertain counts more than sent
				*prior = max(*prior, s.state)
			}
		}
	}
	rest := metadata{usedDecisions: n.usedDecisions}
	for _, s := range slices.Concat(all[:from], all[to:]) {
		list := rest.list(s.state)
		*list = append(*list, s.offsetRange)
	}
	out := rest.encodeLists(next)
	if out != "" {
		out += " "
	}
	code := make([]byte, bitmapLength(int64(len(states))))
	for i := range code {
		var three [3]byte
		copy(three[:], states[3*i:])
		code[i] = bitmapDigits[three[0]|three[1]<<2|three[2]<<4]
	}
	return out + bitmapName + "=" + strconv.FormatInt(first-next, 10) + ":" + string(code)
}

func (n *metadata) list(state byte) *[]offsetRange {
	switch state {
	case stateSettled:
		return &n.settled
	case stateInFlight:
		return &n.inFlight
	case stateInDoubt:
		return &n.inDoubt
	}
	return nil
}

// parseBitmap reads a bitmap with at most budget offsets in flight or in doubt.
func (n *metadata) parseBitmap(next int64, text string, budget *int64) bool {
	first, code, ok := strings.Cut(text, ":")
	at, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || at < 0 || at > maxAhead {
		return false
	}
	at += next
	before := stateOpen
	for i := range len(code) {
		three := strings.IndexByte(bitmapDigits, code[i])
		if three < 0 {
			return false
		}
		for range 3 {
			state := byte(three & 3)
			list := n.list(state)
			if state == stateInFlight || state == stateInDoubt {
				if *budget--; *budget < 0 {
					return false
				}
			}
			switch {
			case list == nil:
			case state == before:
				(*list)[len(*list)-1].last = at
			default:
				*list = append(*list, offsetRange{at, at})
			}
			before, at, three = state, at+1, three>>2
		}
	}
	return true
}

// Whoever may commit offsets of the group can write metadata. maxUncertain is how many records after the offset
// metadata may call uncertain or sent, each of which is kept; maxAhead how far after it a record may lie.
const (
	// maxInDoubt bounds the offsets in doubt or in flight, each of which takes memory, and maxAhead their distance:
	// everyone who may commit offsets of the group can write metadata.
	maxInDoubt = 100_000
	maxAhead   = 1 << 40
)

func parseMetadata(next int64, text string) (meta metadata, err error) {
	budget, lastOffset := int64(maxInDoubt), next-1
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		if name == knownName {
			if meta.known = wit.Known(list); len(list) > wit.MaxKnown {
				return metadata{}, fmt.Errorf("expected at most %d bytes that the plugin knew, found %.100q",
					wit.MaxKnown, list)
			}
			continue
		}
		if name == bitmapName {
			if !meta.parseBitmap(next, list, &budget) {
				return metadata{}, fmt.Errorf("expected states of at most %d uncertain records as 8:Ab-_, "+
					"found %.100q in %.1000q",
					maxInDoubt, list, text)
			}
			continue
		}
		for _, element := range strings.Split(list, ",") {
			offsets, ok := parseOffsetRange(element)
			if !ok || offsets.last > maxAhead {
				return metadata{}, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", element, text)
			}
			offsets = offsetRange{next + offsets.first, next + offsets.last}
			switch name {
			case settledName:
				meta.settled = append(meta.settled, offsets)
			case inDoubtName, inFlightName:
				if budget -= offsets.last - offsets.first + 1; budget < 0 {
					return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q",
						maxInDoubt, text)
				}
				if name == inFlightName {
					meta.inFlight = append(meta.inFlight, offsets)
				} else {
					meta.inDoubt = append(meta.inDoubt, offsets)
				}
			case reachName:
				lastOffset = max(lastOffset, offsets.last)
			case relocatedName:
				meta.relocated = append(meta.relocated[:0], offsets)
			case decidedName:
				meta.usedDecisions = append(meta.usedDecisions, offsetRange{offsets.first, offsets.first})
			default:
				return metadata{}, fmt.Errorf("expected settled, uncertain, decided or sent, found %.100q in %.1000q",
					name, text)
			}
		}
	}
	for _, offsets := range gaps(offsetRange{next, lastOffset}, slices.Concat(meta.settled, meta.inDoubt,
		meta.inFlight)) {
		if budget -= offsets.last - offsets.first + 1; budget < 0 {
			return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxInDoubt,
				text)
		}
		meta.inFlight = append(meta.inFlight, offsets)
	}
	return meta, nil
}
