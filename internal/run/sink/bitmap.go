package sink

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

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

// bitmapLength returns the number of characters for a number of offsets, three in each.
func bitmapLength(offsets int64) int64 { return (offsets + 2) / 3 }

// stateRange is a range of offsets with one state.
type stateRange struct {
	offsetRange
	state byte
	cost  int64 // its length in a list
}

func (m metadata) stateRanges(next int64) []stateRange {
	states := make([]stateRange, 0, len(m.inDoubt)+len(m.inFlight)+len(m.settled))
	add := func(ranges []offsetRange, state byte) {
		for _, s := range ranges {
			states = append(states, stateRange{s, state, int64(s.cost(next))})
		}
	}
	add(m.settled, stateSettled)
	add(m.inFlight, stateInFlight)
	add(m.inDoubt, stateInDoubt)
	slices.SortStableFunc(states, func(a, b stateRange) int { return cmp.Compare(a.first, b.first) })
	return states
}

// encodeBitmap returns the metadata with a bitmap for the adjacent offsets that make it shortest, or "".
func (m metadata) encodeBitmap(next int64) string {
	ranges := m.stateRanges(next)
	from, to, lastOffset := bestBitmap(ranges)
	if from == to {
		return ""
	}
	first := ranges[from].first
	states := make([]byte, lastOffset-first+1)
	for _, s := range ranges[from:to] {
		for offset := s.first; offset <= s.last; offset++ {
			switch state := &states[offset-first]; {
			case s.state == stateSettled || *state == stateSettled: // also over a doubt about a compacted record
				*state = stateSettled
			default: // in doubt counts more than in flight
				*state = max(*state, s.state)
			}
		}
	}
	lists := metadata{usedDecisions: m.usedDecisions}
	for _, s := range slices.Concat(ranges[:from], ranges[to:]) {
		list := lists.list(s.state)
		*list = append(*list, s.offsetRange)
	}
	out := lists.encodeLists(next)
	if out != "" {
		out += " "
	}
	code := make([]byte, bitmapLength(int64(len(states))))
	for i := range code {
		var group [3]byte
		copy(group[:], states[3*i:])
		code[i] = bitmapDigits[group[0]|group[1]<<2|group[2]<<4]
	}
	return out + bitmapName + "=" + strconv.FormatInt(first-next, 10) + ":" + string(code)
}

// bestBitmap returns the ranges[from:to], which end at lastOffset, whose bitmap saves most; from equals to if no bitmap
// is shorter than lists. A long settled range at the beginning stays in a list.
func bestBitmap(ranges []stateRange) (from, to int, lastOffset int64) {
	listed := int64(0) // the length of the ranges that are not in the bitmap
	for _, s := range ranges {
		listed += s.cost
	}
	if len(ranges) > 0 && ranges[0].state == stateSettled {
		if r := ranges[0]; bitmapLength(r.last-r.first+1) > r.cost {
			from = 1
		}
	}
	to = from
	shortest := listed
	end := int64(0)
	for i := from; i < len(ranges); i++ {
		end = max(end, ranges[i].last)
		listed -= ranges[i].cost
		if length := listed + bitmapLength(end-ranges[from].first+1); length < shortest {
			to = i + 1
			lastOffset = end
			shortest = length
		}
	}
	return from, to, lastOffset
}

func (m *metadata) list(state byte) *[]offsetRange {
	switch state {
	case stateSettled:
		return &m.settled
	case stateInFlight:
		return &m.inFlight
	case stateInDoubt:
		return &m.inDoubt
	}
	return nil
}

// parseBitmap reads a bitmap with at most budget offsets in flight or in doubt.
func (m *metadata) parseBitmap(next int64, text string, budget *int64) bool {
	first, code, ok := strings.Cut(text, ":")
	offset, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || offset < 0 || offset > maxAhead {
		return false
	}
	offset += next
	previous := stateOpen
	for i := range len(code) {
		digit := strings.IndexByte(bitmapDigits, code[i])
		if digit < 0 {
			return false
		}
		for range 3 {
			state := byte(digit & 3)
			list := m.list(state)
			if state == stateInFlight || state == stateInDoubt {
				*budget--
				if *budget < 0 {
					return false
				}
			}
			switch {
			case list == nil: // the state of an open record is not stored
			case state == previous:
				(*list)[len(*list)-1].last = offset
			default:
				*list = append(*list, offsetRange{offset, offset})
			}
			previous = state
			offset++
			digit >>= 2
		}
	}
	return true
}
