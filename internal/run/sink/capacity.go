package sink

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

type inDoubtLookup interface {
	openRanges(tp topicPartition, next int64) []offsetRange
	usedDecisions(tp topicPartition, next int64) []offsetRange
	relocatedAndKnown(tp topicPartition, next int64) (relocated []offsetRange, known wit.Known)
}

const (
	// reservedForNames is for all but the lists; only the first unsettled record may use reservedForFirst.
	reservedForNames = 64 + wit.MaxKnown
	reservedForFirst = 64
	bitmapOverhead   = 48 // the name and the position of a bitmap
	splitCost        = 32 // the names of lists next to a bitmap
)

// capacity decides whether a delivery may start: there must be room for any outcome of all started deliveries.
type capacity struct {
	inDoubt  inDoubtLookup
	limit    int           // bounds the metadata, in bytes
	inFlight []offsetRange // reused by fits and metadataRequested
	settled  []offsetRange // reused likewise
}

// fits reports whether the metadata of a partition have room for any outcome of so many more rows up to maxOffset: as a
// bitmap, or as lists, where each row adds at most one offset and separator. useReserve permits reservedForFirst.
func (c *capacity) fits(partition *partition, rows int, maxOffset int64, useReserve bool) bool {
	limit := c.limit - reservedForNames
	if !useReserve {
		limit -= reservedForFirst
	}
	if len(partition.items) > 0 && c.bitmapSize(partition, rows, max(partition.maxStarted, maxOffset)) <= int64(limit) {
		return true
	}
	c.inFlight = partition.appendMaybeWritten(c.inFlight[:0], false)
	c.settled = partition.appendSettled(c.settled[:0], partition.baseOffset, sentOnly)
	lists := metadata{inDoubt: c.inDoubt.openRanges(partition.tp, partition.baseOffset),
		usedDecisions: c.inDoubt.usedDecisions(partition.tp, partition.baseOffset), inFlight: c.inFlight,
		settled: c.settled}
	return lists.listsLength(partition.baseOffset)+(partition.startedRows+rows)*partition.rowCost() <= limit
}

// bitmapSize returns the maximum length of the metadata with a bitmap for any outcome of n more rows up to maxOffset.
func (c *capacity) bitmapSize(partition *partition, n int, maxOffset int64) int64 {
	first := partition.items[0].offset
	for len(partition.inherited) > 0 && partition.inherited[0].last <= partition.maxStarted {
		partition.inherited = partition.inherited[1:]
	}
	listed := int64(0) // in lists
	for _, s := range partition.inherited {
		if s.last > maxOffset {
			listed += s.cost
		}
	}
	least := bitmapLength(maxOffset-first+1) + listed
	if listed > 0 {
		least += splitCost
	}
	for _, s := range partition.inherited {
		if s.last > maxOffset {
			listed -= s.cost
			least = min(least, bitmapLength(s.last-first+1)+listed+splitCost)
		}
	}
	if n := len(partition.inherited); n > 0 && listed == 0 {
		least = min(least, bitmapLength(max(maxOffset, partition.inherited[n-1].last)-first+1))
	}
	usedDecisions := c.inDoubt.usedDecisions(partition.tp, partition.baseOffset)
	if len(usedDecisions) == 0 {
		return least + bitmapOverhead + reservedForFirst // leaves room for decisions
	}
	lists := metadata{usedDecisions: usedDecisions}.listsLength(partition.baseOffset)
	return least + bitmapOverhead + int64(lists+partition.rowCost()*(partition.startedRows+n))
}

func (p *partition) rowCost() int {
	distance := int64(0)
	if n := len(p.items); n > 0 {
		distance = max(p.items[n-1].offset-p.baseOffset, 0)
	}
	return len(strconv.FormatInt(distance, 10)) + 1
}

const minPortion = 64

// portions splits the rows of a batch, as positions in items, into parts that are encoded one after another. Each has
// about as many rows of a partition as its metadata can describe, because a larger delivery could not start and would
// be encoded again in parts. If distant offsets require lists, that is nearly twice as many with many lanes, because
// settled ranges merge. Rows of a partition stay in order.
func (c *capacity) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	type partitionShare struct {
		rows  int
		size  int
		first int64
		last  int64
	}
	parts := map[*partition]*partitionShare{}
	number := 1
	for _, row := range rows {
		item := items[row]
		share := parts[item.partition]
		if share == nil {
			share = &partitionShare{first: item.offset}
			parts[item.partition] = share
		}
		share.rows++
		share.last = max(share.last, item.offset)
	}
	for p, share := range parts {
		lanes := max(inFlight, 2)
		maxRows := max((c.limit-reservedForNames-reservedForFirst)/p.rowCost()*2*lanes/(lanes+2), minPortion)
		// A bitmap may have room for more rows, unless their offsets are far apart.
		budget := int64(c.limit - reservedForNames - reservedForFirst)
		if len(p.items) > 0 && c.bitmapSize(p, share.rows, max(p.maxStarted, share.last)) <= budget {
			maxRows = share.rows
		} else if bitmapRows := 3 * (budget - bitmapOverhead - reservedForFirst); bitmapRows > 0 &&
			len(p.inherited) == 0 && len(c.inDoubt.usedDecisions(p.tp, p.baseOffset)) == 0 {
			times := (share.last - share.first + bitmapRows) / bitmapRows
			maxRows = max(maxRows, int((int64(share.rows)+times-1)/times))
		}
		count := (share.rows + maxRows - 1) / maxRows
		share.size = (share.rows + count - 1) / count
		number = max(number, count)
	}
	if number == 1 {
		return [][]uint32{rows}
	}
	out := make([][]uint32, number)
	seen := make(map[*partition]int, len(parts))
	for _, row := range rows {
		p := items[row].partition
		n := seen[p] / parts[p].size
		out[n] = append(out[n], row)
		seen[p]++
	}
	return out
}
