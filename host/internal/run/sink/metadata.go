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
// [deliveryBegins].
//
// Besides, `moved=0-8` are offsets of which those that are uncertain may have been written from another topic or
// another place in this one, see [Task.moved], and `known=nGa3,f81x` is what the plugin knew of the service, see
// [wit.Known].
type metadata struct {
	uncertain, decided, sent, settled []offsetRange
	// moved is one range, or none.
	moved []offsetRange
	known wit.Known
}

const uncertainName, decidedName, sentName, settledName = "uncertain", "decided", "sent", "settled"

const movedName, knownName = "moved", "known"

// reachName is of earlier versions, which said only how far requests had gone out: records up to there that are not
// settled may have been sent. It is read and never written.
const reachName = "reach"

// nearName is of what lies close together and would be long as lists: `near=8:Ab-_` is the state of each offset from 8
// on, two bits for each, three offsets in a character of URL-safe Base64, the first one in its lowest bits.
const nearName = "near"

// States of an offset in nearName.
const (
	stateOpen byte = iota
	stateSettled
	stateSent
	stateUncertain
)

const nearDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// nearLength is how many characters so many offsets take.
func nearLength(offsets int64) int64 { return (offsets + 2) / 3 }

// shortMetadata is a length in bytes up to which metadata is made of lists alone, which people can read.
const shortMetadata = 64

// text is the metadata as it is stored with the offset `next`: what is shorter, lists of all offsets, or some of them
// in nearName.
func (n metadata) text(next int64) (text string) {
	if lists := n.length(next); lists > shortMetadata {
		if dense := n.dense(next); dense != "" && len(dense) < lists {
			text = dense
		}
	}
	if text == "" {
		text = n.lists(next)
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
func (n metadata) reach(next int64) (all, read int64) {
	read = next - 1
	for _, s := range slices.Concat(n.settled, n.sent) {
		read = max(read, s.last)
	}
	all = read
	for _, s := range n.uncertain {
		all = max(all, s.last)
	}
	return all, read
}

// namedRanges are a list of metadata with its name.
type namedRanges struct {
	name   string
	ranges []offsetRange
}

// byName are the lists, in the order in which they stand.
func (n metadata) byName() [4]namedRanges {
	return [...]namedRanges{{uncertainName, n.uncertain}, {decidedName, n.decided}, {sentName, n.sent},
		{settledName, n.settled}}
}

// length is how long lists of all offsets are.
func (n metadata) length(next int64) (length int) {
	for _, list := range n.byName() {
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

func (n metadata) lists(next int64) string {
	var out strings.Builder
	for _, list := range n.byName() {
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

// stated is offsets of one state, with what they cost in a list.
type stated struct {
	offsetRange
	state byte
	cost  int64
}

// ranges are all of them but the decisions, in order.
func (n metadata) ranges(next int64) []stated {
	all := make([]stated, 0, len(n.uncertain)+len(n.sent)+len(n.settled))
	add := func(ranges []offsetRange, state byte) {
		for _, s := range ranges {
			all = append(all, stated{s, state, int64(s.cost(next))})
		}
	}
	add(n.settled, stateSettled)
	add(n.sent, stateSent)
	add(n.uncertain, stateUncertain)
	slices.SortStableFunc(all, func(a, b stated) int { return cmp.Compare(a.first, b.first) })
	return all
}

// dense is the metadata with the offsets that lie close together in nearName, as many as makes it shortest; "" where it
// is no shorter by that. A run that is settled may stand before them, in a list.
func (n metadata) dense(next int64) string {
	all := n.ranges(next)
	length := int64(0)
	for _, s := range all {
		length += s.cost
	}
	from := 0
	if len(all) > 0 && all[0].state == stateSettled && nearLength(all[0].last-all[0].first+1) > all[0].cost {
		from = 1
	}
	to, end, best := from, int64(0), length
	for i, reach := from, int64(0); i < len(all); i++ {
		reach = max(reach, all[i].last)
		length -= all[i].cost
		if whole := length + nearLength(reach-all[from].first+1); whole < best {
			to, end, best = i+1, reach, whole
		}
	}
	if to == from {
		return ""
	}
	first := all[from].first
	states := make([]byte, end-first+1)
	for _, s := range all[from:to] {
		for at := s.first; at <= s.last; at++ {
			switch was := &states[at-first]; {
			case s.state == stateSettled || *was == stateSettled: // also over a doubt about a compacted record
				*was = stateSettled
			default: // uncertain counts more than sent
				*was = max(*was, s.state)
			}
		}
	}
	rest := metadata{decided: n.decided}
	for _, s := range slices.Concat(all[:from], all[to:]) {
		list := rest.of(s.state)
		*list = append(*list, s.offsetRange)
	}
	out := rest.lists(next)
	if out != "" {
		out += " "
	}
	code := make([]byte, nearLength(int64(len(states))))
	for i := range code {
		var three [3]byte
		copy(three[:], states[3*i:])
		code[i] = nearDigits[three[0]|three[1]<<2|three[2]<<4]
	}
	return out + nearName + "=" + strconv.FormatInt(first-next, 10) + ":" + string(code)
}

// of is the list of a state, nil for stateOpen.
func (n *metadata) of(state byte) *[]offsetRange {
	switch state {
	case stateSettled:
		return &n.settled
	case stateSent:
		return &n.sent
	case stateUncertain:
		return &n.uncertain
	}
	return nil
}

// near reads what [metadata.dense] wrote, of which at most so many offsets may be sent or uncertain.
func (n *metadata) near(next int64, text string, left *int64) bool {
	first, code, ok := strings.Cut(text, ":")
	at, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || at < 0 || at > maxAhead {
		return false
	}
	at += next
	before := stateOpen
	for i := range len(code) {
		three := strings.IndexByte(nearDigits, code[i])
		if three < 0 {
			return false
		}
		for range 3 {
			state := byte(three & 3)
			list := n.of(state)
			if state == stateSent || state == stateUncertain {
				if *left--; *left < 0 {
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
	maxUncertain = 100_000
	maxAhead     = 1 << 40
)

// readMetadata takes metadata apart.
func readMetadata(next int64, text string) (n metadata, err error) {
	left, reach := int64(maxUncertain), next-1
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, "=")
		if name == knownName {
			if n.known = wit.Known(list); len(list) > wit.MaxKnown {
				return metadata{}, fmt.Errorf("expected at most %d bytes that the plugin knew, found %.100q",
					wit.MaxKnown, list)
			}
			continue
		}
		if name == nearName {
			if !n.near(next, list, &left) {
				return metadata{}, fmt.Errorf("expected states of at most %d uncertain records as 8:Ab-_, "+
					"found %.100q in %.1000q",
					maxUncertain, list, text)
			}
			continue
		}
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
					return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q",
						maxUncertain, text)
				}
				if name == sentName {
					n.sent = append(n.sent, s)
				} else {
					n.uncertain = append(n.uncertain, s)
				}
			case reachName:
				reach = max(reach, s.last)
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
	for _, s := range gaps(offsetRange{next, reach}, slices.Concat(n.settled, n.uncertain, n.sent)) {
		if left -= s.last - s.first + 1; left < 0 {
			return metadata{}, fmt.Errorf("expected at most %d uncertain records, found more in %.1000q", maxUncertain,
				text)
		}
		n.sent = append(n.sent, s)
	}
	return n, nil
}
