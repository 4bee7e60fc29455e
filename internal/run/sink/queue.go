package sink

import (
	"cmp"
	"container/heap"
	"slices"
)

// queue holds the deliveries to send. Deliveries with the same ordering key form a lane and are sent one after another;
// among lanes, the one whose rows were read first is next. It belongs to the dispatcher's goroutine.
type queue struct {
	lanes   map[uint32]*lane         // the non-empty lanes by ordering key
	ready   map[*partition]*laneHeap // lanes without a delivery in flight, by the partition of their next row
	blocked map[*partition]bool      // the partitions that wait until a delivery has ended
	context *pluginContext           // the context of all ordering keys; nil if they are from several
	// settledSeq is, by lane, the sequence number that must be durable before its next delivery is sent, because it
	// covers what the lane has settled. minSeq is the same for all lanes, from earlier contexts.
	settledSeq map[uint32]int
	minSeq     int
}

// lane is the deliveries with one ordering key, in the order of sending.
type lane struct {
	key        uint32
	keyed      bool // the lane is in [queue.lanes]
	deliveries []delivery
}

func (l *lane) readBefore(other *lane) bool {
	a := &l.deliveries[0]
	b := &other.deliveries[0]
	return cmp.Or(cmp.Compare(a.active.number, b.active.number), cmp.Compare(a.portion(), b.portion()),
		cmp.Compare(a.rows[0], b.rows[0])) < 0
}

func (d *delivery) partition() *partition { return d.items[0].partition }

func (d *delivery) portion() int { return d.active.rowStates[d.rows[0]].portion }

// setContext sets the context of the ordering keys. The keys of the queued deliveries must be equal with it.
func (q *queue) setContext(context *pluginContext) {
	if context == q.context {
		return
	}
	for _, seq := range q.settledSeq { // the lanes of its keys may be other ones now
		q.minSeq = max(q.minSeq, seq)
	}
	clear(q.settledSeq)
	q.context = context
}

// add appends the deliveries of a batch. Without a common context of their keys, all go into one lane.
func (q *queue) add(deliveries []delivery) {
	var fresh []*lane
	for _, added := range deliveries {
		if added.uncheckable != nil { // a placeholder has no ordering key and is not sent
			fresh = append(fresh, &lane{deliveries: []delivery{added}})
			continue
		}
		if q.context == nil {
			added.OrderingKey = 0
		}
		target := q.lanes[added.OrderingKey]
		if target == nil {
			target = &lane{key: added.OrderingKey, keyed: true}
			q.lanes[added.OrderingKey] = target
			fresh = append(fresh, target)
		}
		target.deliveries = append(target.deliveries, added)
	}
	for _, l := range fresh {
		q.push(l)
	}
}

func (q *queue) push(l *lane) {
	p := l.deliveries[0].partition()
	if q.ready[p] == nil {
		q.ready[p] = &laneHeap{}
	}
	heap.Push(q.ready[p], l)
}

// awaitedSeq returns the sequence number that must be durable before the lane's next delivery is sent.
func (q *queue) awaitedSeq(l *lane) int {
	if l.keyed {
		return max(q.minSeq, q.settledSeq[l.key])
	}
	return q.minSeq
}

// first returns the ready lane whose rows were read first, nil if all are blocked or in flight.
func (q *queue) first() *lane {
	var first *lane
	for p, lanes := range q.ready {
		if !q.blocked[p] && (first == nil || (*lanes)[0].readBefore(first)) {
			first = (*lanes)[0]
		}
	}
	return first
}

// removeBatch removes the deliveries of the last batch, which is not in flight, and returns them.
func (q *queue) removeBatch(active *activeBatch) (deliveries []delivery) {
	cut := func(l *lane) {
		n := len(l.deliveries)
		for n > 0 && l.deliveries[n-1].active == active {
			n--
		}
		deliveries = append(deliveries, l.deliveries[n:]...)
		clear(l.deliveries[n:])
		l.deliveries = l.deliveries[:n]
	}
	for _, l := range q.lanes {
		cut(l) // lanes in flight, too
	}
	for partition, lanes := range q.ready {
		for _, l := range *lanes {
			cut(l)
		}
		*lanes = slices.DeleteFunc(*lanes, func(l *lane) bool {
			if len(l.deliveries) == 0 {
				q.forget(l)
			}
			return len(l.deliveries) == 0
		})
		heap.Init(lanes)
		if len(*lanes) == 0 {
			delete(q.ready, partition)
		}
	}
	return deliveries
}

func (q *queue) pop(l *lane) {
	p := l.deliveries[0].partition()
	heap.Pop(q.ready[p])
	if q.ready[p].Len() == 0 {
		delete(q.ready, p)
	}
}

func (q *queue) discard(l *lane) {
	q.pop(l)
	q.forget(l)
}

func (q *queue) forget(l *lane) {
	if l.keyed {
		delete(q.lanes, l.key)
	}
}

// block excludes the lane's partition from first until a delivery has ended.
func (q *queue) block(l *lane) { q.blocked[l.deliveries[0].partition()] = true }

// complete removes the first delivery of a lane in flight, or replaces it, and makes the lane ready again.
func (q *queue) complete(lane *lane, replacement []delivery) {
	clear(q.blocked)
	lane.deliveries[0] = delivery{}
	lane.deliveries = lane.deliveries[1:]
	if len(replacement) > 0 {
		lane.deliveries = append(replacement, lane.deliveries...)
	}
	if len(lane.deliveries) > 0 {
		q.push(lane)
	} else {
		q.forget(lane)
	}
}

type laneHeap []*lane

func (l laneHeap) Len() int { return len(l) }

func (l laneHeap) Less(i, j int) bool { return l[i].readBefore(l[j]) }

func (l laneHeap) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push and Pop are for container/heap.
func (l *laneHeap) Push(x any) { *l = append(*l, x.(*lane)) }

func (l *laneHeap) Pop() any {
	old := *l
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return x
}
