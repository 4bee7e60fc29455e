package sink

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// doubts are what is known of records in doubt: the offsets of a partition from next on that are, and those of used up
// decisions, each as often as it was.
type doubts interface {
	of(at topicPartition, next int64) []offsetRange
	used(at topicPartition, next int64) []offsetRange
	rest(at topicPartition, next int64) (moved []offsetRange, known wit.Known)
}

// Metadata with an offset can be only so long. A delivery begins where whatever comes of it, and of those on their
// way, has room there.

const (
	// namesRoom is what metadata has with its offsets: names and signs, what was moved, and what the plugin knew.
	namesRoom = 64 + wit.MaxKnown
	// firstRoom is what deliveries that run ahead leave for the first one.
	firstRoom = 64
	// denseFront is what metadata that says the state of each offset has before these: a run that is settled, and from
	// where on they are. splitCost is what a range gets longer by that is cut in two.
	denseFront, splitCost = 48, 32
)

// space is what the length of metadata depends on besides a partition's records.
type space struct {
	doubts doubts
	// limit is how long metadata may be.
	limit int
	// sent and settled are memory for what metadata says.
	sent, settled []offsetRange
}

// room tells whether the metadata of a partition has room for whatever comes of n more rows, up to the offset reach: as
// the state of each offset, or in lists, where a row that is settled or uncertain makes it longer by an offset and a
// sign at most.
func (l *space) room(p *partition, n int, reach int64, first bool) bool {
	limit := l.limit - namesRoom
	if !first {
		limit -= firstRoom
	}
	if len(p.items) > 0 && l.near(p, n, max(p.reach, reach)) <= int64(limit) {
		return true
	}
	l.sent, l.settled = p.appendSent(l.sent[:0], false), p.appendAhead(l.settled[:0], p.base, false)
	lists := metadata{uncertain: l.doubts.of(p.at, p.base), decided: l.doubts.used(p.at, p.base), sent: l.sent,
		settled: l.settled}
	return lists.length(p.base)+(p.delivering+n)*p.each() <= limit
}

// near is how long the metadata of a partition gets at most, but for its names, whatever comes of n more rows up to the
// offset reach, if it says the state of each offset up to there or further.
func (l *space) near(p *partition, n int, reach int64) int64 {
	first := p.items[0].offset
	for len(p.earlier) > 0 && p.earlier[0].last <= p.reach {
		p.earlier = p.earlier[1:]
	}
	beyond := int64(0) // in lists
	for _, s := range p.earlier {
		if s.last > reach {
			beyond += s.cost
		}
	}
	least := nearLength(reach-first+1) + beyond
	if beyond > 0 {
		least += splitCost
	}
	for _, s := range p.earlier {
		if s.last > reach {
			beyond -= s.cost
			least = min(least, nearLength(s.last-first+1)+beyond+splitCost)
		}
	}
	if n := len(p.earlier); n > 0 && beyond == 0 {
		least = min(least, nearLength(max(reach, p.earlier[n-1].last)-first+1))
	}
	decided := l.doubts.used(p.at, p.base)
	if len(decided) == 0 {
		return least + denseFront + firstRoom // so that there is room for decisions
	}
	return least + denseFront + int64(metadata{decided: decided}.length(p.base)+p.each()*(p.delivering+n))
}

// each is how many bytes a row can add to the partition's metadata: an offset and a sign.
func (p *partition) each() int {
	ahead := int64(0)
	if n := len(p.items); n > 0 {
		ahead = max(p.items[n-1].offset-p.base, 0)
	}
	return len(strconv.FormatInt(ahead, 10)) + 1
}

// leastPortion is how many rows of a partition are encoded together, however short metadata may be.
const leastPortion = 64

// portions cuts rows of a batch, which are positions in items, into parts to be encoded one after another: of each
// partition about as many as its metadata can tell apart. A delivery of more could not begin and would be encoded again
// in parts. Where offsets lie so far apart that the metadata has lists of them, it is nearly twice as many with many
// lanes, since a delivery has but a few of them, and what is settled grows together. Rows of a partition stay in order.
func (l *space) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	type part struct {
		rows, size  int
		first, last int64
	}
	parts, number := map[*partition]*part{}, 1
	for _, row := range rows {
		i := items[row]
		of := parts[i.partition]
		if of == nil {
			of = &part{first: i.offset}
			parts[i.partition] = of
		}
		of.rows, of.last = of.rows+1, max(of.last, i.offset)
	}
	for p, of := range parts {
		lanes := max(inFlight, 2)
		most := max((l.limit-namesRoom-firstRoom)/p.each()*2*lanes/(lanes+2), leastPortion)
		// Offsets of which the states have room may be more, unless they lie far apart.
		room := int64(l.limit - namesRoom - firstRoom)
		if len(p.items) > 0 && l.near(p, of.rows, max(p.reach, of.last)) <= room {
			most = of.rows
		} else if near := 3 * (room - denseFront - firstRoom); near > 0 && len(p.earlier) == 0 &&
			len(l.doubts.used(p.at, p.base)) == 0 {
			times := (of.last - of.first + near) / near
			most = max(most, int((int64(of.rows)+times-1)/times))
		}
		count := (of.rows + most - 1) / most
		of.size, number = (of.rows+count-1)/count, max(number, count)
	}
	if number == 1 {
		return [][]uint32{rows}
	}
	out, seen := make([][]uint32, number), make(map[*partition]int, len(parts))
	for _, row := range rows {
		p := items[row].partition
		at := seen[p] / parts[p].size
		out[at] = append(out[at], row)
		seen[p]++
	}
	return out
}
