package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// metadata is the commit's metadata: what is stored with a partition's committed offset, so that a task which is
// started again writes nothing twice: which records after that offset are settled, since lanes overtake each other; of
// which nobody knows whether they were written (P19), and which of those were sent once more because somebody decided
// so; and which are on their way by requests that must not be sent twice, or go out next: in the metadata of a run
// that was killed these, too, may have been written or not. It is made of texts such as `uncertain=0,5 decided=5
// sent=8-9 settled=1-3,7`, counted from the committed offset; where these get long, of the state of each offset (see
// nearName). Whoever sets the group's offset by other means takes the metadata away with it, and all records from
// there on are written. Deliveries begin only where whatever comes of them has room in the metadata: see
// [deliveryStart].
//
// Besides, `moved=0-8` are offsets of which those that are uncertain may have been written from another topic or
// another place in this one, see [Task.moved], and `known=nGa3,f81x` is what the plugin knew of the service, see
// [wit.Known].
type metadata struct {
	inDoubt, decided, inFlight, settled []offsetRange
	// moved is one range, or none.
	moved []offsetRange
	known wit.Known
}

const inDoubtName, decidedName, inFlightName, settledName = "uncertain", "decided", "sent", "settled"

const movedName, knownName = "moved", "known"

// reachName is of earlier versions, which said only how far requests had gone out: records up to there that are not
// settled may have been sent. It is read and never written.
const reachName = "reach"

// bitmapName is of what lies close together and would be long as lists: `near=8:Ab-_` is the state of each offset from 8
// on, two bits for each, three offsets in a character of URL-safe Base64, the first one in its lowest bits.
const bitmapName = "near"

// States of an offset in nearName.
const (
	stateOpen byte = iota
	stateSettled
	stateInFlight
	stateInDoubt
)

const bitmapDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// bitmapLength is how many characters so many offsets take.
func bitmapLength(offsets int64) int64 { return (offsets + 2) / 3 }

// maxListOnly is a length in bytes up to which metadata is made of lists alone, which people can read.
const maxListOnly = 64

// metadata is the metadata as it is stored with the offset `next`: what is shorter, lists of all offsets, or some of them
// in nearName.
func (n metadata) encode(next int64) (text string) {
	if lists := n.listsLength(next); lists > maxListOnly {
		if bitmap := n.encodeBitmap(next); bitmap != "" && len(bitmap) < lists {
			text = bitmap
		}
	}
	if text == "" {
		text = n.encodeLists(next)
	}
	if len(n.moved) > 0 {
		text += " " + movedName + "=" + offsetRange{n.moved[0].first - next, n.moved[0].last - next}.String()
	}
	if n.known != "" {
		text += " " + knownName + "=" + string(n.known)
	}
	return strings.TrimPrefix(text, " ")
}

// reach is the last offset that the metadata say something of, next-1 where there is none; read is the last one of a
// record that was read.
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

// namedRanges are a list of metadata with its name.
type namedRanges struct {
	name   string
	ranges []offsetRange
}

// namedLists are the lists, in the order in which they stand.
func (n metadata) namedLists() [4]namedRanges {
	return [...]namedRanges{{inDoubtName, n.inDoubt}, {decidedName, n.decided}, {inFlightName, n.inFlight},
		{settledName, n.settled}}
}

// listsLength is how long lists of all offsets are.
func (n metadata) listsLength(next int64) (length int) {
	for _, list := range n.namedLists() {
		if len(list.ranges) == 0 {
			continue
		}
		length += len(list.name) + 1 // without the blank before it, for the comma that is not after the last range
		for _, s := range list.ranges {
			length += s.cost(next)
		}
	}
	return max(length-1, 0)
}

// cost is how long a range is in a list, with the sign after it.
func (s offsetRange) cost(next int64) int {
	n := digits(s.first-next) + 1
	if s.last > s.first {
		n += digits(s.last-next) + 1
	}
	return n
}

// digits is how long a number is that is not negative.
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

// stateRange is offsets of one state, with what they cost in a list.
type stateRange struct {
	offsetRange
	state byte
	cost  int64
}

// stateRanges are all of them but the decisions, in order.
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

// dense is the metadata with the offsets that lie close together in nearName, as many as makes it shortest; "" where it
// is no shorter by that. A run that is settled may stand before them, in a list.
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
	rest := metadata{decided: n.decided}
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

// of is the list of a state, nil for stateOpen.
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

// near reads what [metadata.bitmap] wrote, of which at most so many offsets may be sent or uncertain.
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
	maxInDoubt = 100_000
	maxAhead   = 1 << 40
)

// parseMetadata takes metadata apart.
func parseMetadata(next int64, text string) (n metadata, err error) {
	budget, lastOffset := int64(maxInDoubt), next-1
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		if name == knownName {
			if n.known = wit.Known(list); len(list) > wit.MaxKnown {
				return metadata{}, fmt.Errorf("expected at most %d bytes that the plugin knew, found %.100q",
					wit.MaxKnown, list)
			}
			continue
		}
		if name == bitmapName {
			if !n.parseBitmap(next, list, &budget) {
				return metadata{}, fmt.Errorf("expected states of at most %d uncertain records as 8:Ab-_, "+
					"found %.100q in %.1000q",
					maxInDoubt, list, text)
			}
			continue
		}
		for _, element := range strings.Split(list, ",") {
			s, ok := parseOffsetRange(element)
			if !ok || s.last > maxAhead {
				return metadata{}, fmt.Errorf("expected offsets as 1-3, found %.100q in %.1000q", element, text)
			}
			s = offsetRange{next + s.first, next + s.last}
			switch name {
			case settledName:
				n.settled = append(n.settled, s)
			case inDoubtName, inFlightName:
				if budget -= s.last - s.first + 1; budget < 0 {
					return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q",
						maxInDoubt, text)
				}
				if name == inFlightName {
					n.inFlight = append(n.inFlight, s)
				} else {
					n.inDoubt = append(n.inDoubt, s)
				}
			case reachName:
				lastOffset = max(lastOffset, s.last)
			case movedName:
				n.moved = append(n.moved[:0], s)
			case decidedName:
				n.decided = append(n.decided, offsetRange{s.first, s.first})
			default:
				return metadata{}, fmt.Errorf("expected settled, uncertain, decided or sent, found %.100q in %.1000q",
					name, text)
			}
		}
	}
	for _, s := range gaps(offsetRange{next, lastOffset}, slices.Concat(n.settled, n.inDoubt, n.inFlight)) {
		if budget -= s.last - s.first + 1; budget < 0 {
			return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxInDoubt,
				text)
		}
		n.inFlight = append(n.inFlight, s)
	}
	return n, nil
}
