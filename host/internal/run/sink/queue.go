package sink

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
)

// queue holds the deliveries that are to be made, by lane. Next is the delivery, of all that may begin, whose records
// were read first. It belongs to one goroutine.
type queue struct {
	// lanes are those that are not empty, by their number: deliveries of later batches go after those of earlier ones.
	lanes map[uint32]*lane
	// ready are the lanes of which nothing is on its way, by the partition of their next row.
	ready map[*partition]*laneHeap
	// blocked are partitions whose next delivery waits until another one has ended.
	blocked map[*partition]bool
	// version is what the lanes were made by.
	version contextVersion
	// settledSeq is, by lane, what [ledger.isDurable] must tell before the next delivery of it goes out: that what its
	// deliveries have settled is stored. before is the same for all lanes, since others were made.
	settledSeq map[uint32]int
	minSeq     int
}

// lane is deliveries that go one after another, none of them empty.
type lane struct {
	key uint32
	// keyed: it stands in [queue.lanes].
	keyed      bool
	deliveries []delivery
}

func (l *lane) readBefore(other *lane) bool {
	a, b := &l.deliveries[0], &other.deliveries[0]
	return cmp.Or(cmp.Compare(a.active.number, b.active.number), cmp.Compare(a.portion(), b.portion()),
		cmp.Compare(a.rows[0], b.rows[0])) < 0
}

func (j *delivery) partition() *partition { return j.active.batch.items[j.rows[0]].partition }

// portion is that of the batch in which the rows are, see [capacity.portions]. One after another they are what the
// metadata have room for, so that there is always a delivery that can begin.
func (j *delivery) portion() int { return j.active.rowStates[j.rows[0]].portion }

func newQueue() *queue {
	return &queue{lanes: map[uint32]*lane{}, ready: map[*partition]*laneHeap{}, blocked: map[*partition]bool{},
		settledSeq: map[uint32]int{}}
}

// add puts the deliveries of a batch after those that are there. Those of mixed lanes go one after another; none are
// there then.
func (q *queue) add(e *encodedBatch) {
	if e.version != q.version { // what a lane has settled was of other keys
		for _, seq := range q.settledSeq {
			q.minSeq = max(q.minSeq, seq)
		}
		clear(q.settledSeq)
		q.version = e.version
	}
	var fresh []*lane
	for _, j := range e.deliveries {
		if j.uncheckable != nil { // it has no lane
			fresh = append(fresh, &lane{deliveries: []delivery{j}})
			continue
		}
		if e.mixed {
			j.Lane = 0
		}
		l := q.lanes[j.Lane]
		if l == nil {
			l = &lane{key: j.Lane, keyed: true}
			q.lanes[j.Lane] = l
			fresh = append(fresh, l)
		}
		l.deliveries = append(l.deliveries, j)
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

// awaitedSeq is what must be stored before the next delivery of a lane goes out.
func (q *queue) awaitedSeq(l *lane) int {
	if l.keyed {
		return max(q.minSeq, q.settledSeq[l.key])
	}
	return q.minSeq
}

// dropDurable forgets what is stored.
func (q *queue) dropDurable(stored func(seq int) bool) {
	maps.DeleteFunc(q.settledSeq, func(_ uint32, seq int) bool { return stored(seq) })
}

// putBack puts a lane back that has begun and sent nothing: there is room for others again.
func (q *queue) pushBack(l *lane) {
	clear(q.blocked)
	q.push(l)
}

// first is the lane that is next; nil: there is none.
func (q *queue) first() *lane {
	var first *lane
	for p, all := range q.ready {
		if !q.blocked[p] && (first == nil || (*all)[0].readBefore(first)) {
			first = (*all)[0]
		}
	}
	return first
}

// removeBatch takes out the deliveries of a batch, none of which has begun, and after which there are none.
func (q *queue) removeBatch(w *activeBatch) (jobs []delivery) {
	cut := func(l *lane) {
		n := len(l.deliveries)
		for n > 0 && l.deliveries[n-1].active == w {
			n--
		}
		jobs = append(jobs, l.deliveries[n:]...)
		clear(l.deliveries[n:])
		l.deliveries = l.deliveries[:n]
	}
	for _, l := range q.lanes {
		cut(l) // those that are at work too
	}
	for p, all := range q.ready {
		for _, l := range *all {
			cut(l)
		}
		*all = slices.DeleteFunc(*all, func(l *lane) bool {
			if len(l.deliveries) == 0 {
				q.forget(l)
			}
			return len(l.deliveries) == 0
		})
		if heap.Init(all); len(*all) == 0 {
			delete(q.ready, p)
		}
	}
	return jobs
}

// pop takes the lane that is next out, until it has ended.
func (q *queue) pop(l *lane) {
	p := l.deliveries[0].partition()
	if heap.Pop(q.ready[p]); q.ready[p].Len() == 0 {
		delete(q.ready, p)
	}
}

// discard takes the lane that is next out for good.
func (q *queue) discard(l *lane) {
	q.pop(l)
	q.forget(l)
}

func (q *queue) forget(l *lane) {
	if l.keyed {
		delete(q.lanes, l.key)
	}
}

// block has the lane that is next wait until another one has ended.
func (q *queue) block(l *lane) { q.blocked[l.deliveries[0].partition()] = true }

// complete puts a lane back without its first delivery, and with others in its place.
func (q *queue) complete(l *lane, replacement []delivery) {
	clear(q.blocked)
	l.deliveries[0] = delivery{}
	if l.deliveries = l.deliveries[1:]; len(replacement) > 0 {
		l.deliveries = append(replacement, l.deliveries...)
	}
	if len(l.deliveries) > 0 {
		q.push(l)
	} else {
		q.forget(l)
	}
}

// laneHeap is lanes as a heap by their next row.
type laneHeap []*lane

func (l laneHeap) Len() int { return len(l) }

func (l laneHeap) Less(i, j int) bool { return l[i].readBefore(l[j]) }

func (l laneHeap) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

func (l *laneHeap) Push(x any) { *l = append(*l, x.(*lane)) }

func (l *laneHeap) Pop() any {
	old := *l
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return x
}
