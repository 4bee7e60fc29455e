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

// bitmapSize returns the maximum length of the metadata with a bitmap for any outcome of so many more rows up to
// maxOffset. The bitmap contains inherited ranges up to an offset that makes the text shortest; lists have the others.
func (c *capacity) bitmapSize(partition *partition, rows int, maxOffset int64) int64 {
	first := partition.items[0].offset
	for len(partition.inherited) > 0 && partition.inherited[0].last <= partition.maxStarted {
		partition.inherited = partition.inherited[1:]
	}
	listed := int64(0) // the length of the ranges that are not in the bitmap
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
	if n := len(partition.inherited); n > 0 { // all in the bitmap: no list, so no splitCost
		least = min(least, bitmapLength(max(maxOffset, partition.inherited[n-1].last)-first+1))
	}
	usedDecisions := c.inDoubt.usedDecisions(partition.tp, partition.baseOffset)
	if len(usedDecisions) == 0 {
		return least + bitmapOverhead + reservedForFirst // room for decisions that are used up later
	}
	lists := metadata{usedDecisions: usedDecisions}.listsLength(partition.baseOffset)
	return least + bitmapOverhead + int64(lists+partition.rowCost()*(partition.startedRows+rows))
}

// rowCost returns the maximum length of an offset with its separator in a list.
func (p *partition) rowCost() int {
	distance := int64(0)
	if n := len(p.items); n > 0 {
		distance = max(p.items[n-1].offset-p.baseOffset, 0)
	}
	return len(strconv.FormatInt(distance, 10)) + 1
}

const minPortion = 64 // rows of a partition, even if the metadata have room for less

// portions splits the rows of a batch, as positions in items, into parts that are encoded one after another. Each has
// about as many rows of a partition as its metadata can describe, because a larger delivery could not start and would
// be encoded again in parts. If distant offsets require lists, that is nearly twice as many with many lanes, because
// settled ranges merge. Rows of a partition stay in order.
func (c *capacity) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	type partitionShare struct {
		rows  int
		size  int // rows in a portion
		first int64
		last  int64
	}
	shares := map[*partition]*partitionShare{}
	portionCount := 1 // the number of portions, the maximum over the partitions
	for _, row := range rows {
		item := items[row]
		share := shares[item.partition]
		if share == nil {
			share = &partitionShare{first: item.offset}
			shares[item.partition] = share
		}
		share.rows++
		share.last = max(share.last, item.offset)
	}
	for p, share := range shares {
		lanes := max(inFlight, 2)
		budget := c.limit - reservedForNames - reservedForFirst
		maxRows := max(budget/p.rowCost()*2*lanes/(lanes+2), minPortion) // in lists
		// A bitmap may have room for more rows, unless their offsets are far apart.
		if len(p.items) > 0 && c.bitmapSize(p, share.rows, max(p.maxStarted, share.last)) <= int64(budget) {
			maxRows = share.rows
		} else if bitmapRows := 3 * int64(budget-bitmapOverhead-reservedForFirst); bitmapRows > 0 &&
			len(p.inherited) == 0 && len(c.inDoubt.usedDecisions(p.tp, p.baseOffset)) == 0 {
			bitmaps := (share.last - share.first + bitmapRows) / bitmapRows // so many cover the offsets
			maxRows = max(maxRows, int((int64(share.rows)+bitmaps-1)/bitmaps))
		}
		count := (share.rows + maxRows - 1) / maxRows
		share.size = (share.rows + count - 1) / count
		portionCount = max(portionCount, count)
	}
	if portionCount == 1 {
		return [][]uint32{rows}
	}
	out := make([][]uint32, portionCount)
	seen := make(map[*partition]int, len(shares))
	for _, row := range rows {
		p := items[row].partition
		n := seen[p] / shares[p].size
		out[n] = append(out[n], row)
		seen[p]++
	}
	return out
}
