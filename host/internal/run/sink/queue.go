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
	// crowded are partitions whose next delivery waits until another one has ended.
	crowded map[*partition]bool
	// hashed is what the lanes were made by.
	hashed hashed
	// settled is, by lane, what [ledger.holds] must tell before the next delivery of it goes out: that what its
	// deliveries have settled is stored. before is the same for all lanes, since others were made.
	settled map[uint32]int
	before  int
}

// lane is deliveries that go one after another, none of them empty.
type lane struct {
	number uint32
	// numbered: it stands in [queue.lanes].
	numbered bool
	jobs     []job
}

func (l *lane) before(other *lane) bool {
	a, b := &l.jobs[0], &other.jobs[0]
	return cmp.Or(cmp.Compare(a.of.number, b.of.number), cmp.Compare(a.portion(), b.portion()),
		cmp.Compare(a.rows[0], b.rows[0])) < 0
}

func (j *job) partition() *partition { return j.of.batch.items[j.rows[0]].partition }

// portion is that of the batch in which the rows are, see [space.portions]. One after another they are what the
// metadata have room for, so that there is always a delivery that can begin.
func (j *job) portion() int { return j.of.tries[j.rows[0]].portion }

func newQueue() *queue {
	return &queue{lanes: map[uint32]*lane{}, ready: map[*partition]*laneHeap{}, crowded: map[*partition]bool{},
		settled: map[uint32]int{}}
}

// add puts the deliveries of a batch after those that are there. Those of mixed lanes go one after another; none are
// there then.
func (q *queue) add(e *encoded) {
	if e.hashed != q.hashed { // what a lane has settled was of other keys
		for _, number := range q.settled {
			q.before = max(q.before, number)
		}
		clear(q.settled)
		q.hashed = e.hashed
	}
	var fresh []*lane
	for _, j := range e.jobs {
		if j.noCheck != nil { // it has no lane
			fresh = append(fresh, &lane{jobs: []job{j}})
			continue
		}
		if e.mixed {
			j.OrderingKey = 0
		}
		l := q.lanes[j.OrderingKey]
		if l == nil {
			l = &lane{number: j.OrderingKey, numbered: true}
			q.lanes[j.OrderingKey] = l
			fresh = append(fresh, l)
		}
		l.jobs = append(l.jobs, j)
	}
	for _, l := range fresh {
		q.put(l)
	}
}

func (q *queue) put(l *lane) {
	p := l.jobs[0].partition()
	if q.ready[p] == nil {
		q.ready[p] = &laneHeap{}
	}
	heap.Push(q.ready[p], l)
}

// awaits is what must be stored before the next delivery of a lane goes out.
func (q *queue) awaits(l *lane) int {
	if l.numbered {
		return max(q.before, q.settled[l.number])
	}
	return q.before
}

// forgetSettled forgets what is stored.
func (q *queue) forgetSettled(stored func(number int) bool) {
	maps.DeleteFunc(q.settled, func(_ uint32, number int) bool { return stored(number) })
}

// putBack puts a lane back that has begun and sent nothing: there is room for others again.
func (q *queue) putBack(l *lane) {
	clear(q.crowded)
	q.put(l)
}

// first is the lane that is next; nil: there is none.
func (q *queue) first() *lane {
	var first *lane
	for p, all := range q.ready {
		if !q.crowded[p] && (first == nil || (*all)[0].before(first)) {
			first = (*all)[0]
		}
	}
	return first
}

// takeBack takes out the deliveries of a batch, none of which has begun, and after which there are none.
func (q *queue) takeBack(w *writing) (jobs []job) {
	cut := func(l *lane) {
		n := len(l.jobs)
		for n > 0 && l.jobs[n-1].of == w {
			n--
		}
		jobs = append(jobs, l.jobs[n:]...)
		clear(l.jobs[n:])
		l.jobs = l.jobs[:n]
	}
	for _, l := range q.lanes {
		cut(l) // those that are at work too
	}
	for p, all := range q.ready {
		for _, l := range *all {
			cut(l)
		}
		*all = slices.DeleteFunc(*all, func(l *lane) bool {
			if len(l.jobs) == 0 {
				q.forget(l)
			}
			return len(l.jobs) == 0
		})
		if heap.Init(all); len(*all) == 0 {
			delete(q.ready, p)
		}
	}
	return jobs
}

// begin takes the lane that is next out, until it has ended.
func (q *queue) begin(l *lane) {
	p := l.jobs[0].partition()
	if heap.Pop(q.ready[p]); q.ready[p].Len() == 0 {
		delete(q.ready, p)
	}
}

// setAside takes the lane that is next out for good.
func (q *queue) setAside(l *lane) {
	q.begin(l)
	q.forget(l)
}

func (q *queue) forget(l *lane) {
	if l.numbered {
		delete(q.lanes, l.number)
	}
}

// full has the lane that is next wait until another one has ended.
func (q *queue) full(l *lane) { q.crowded[l.jobs[0].partition()] = true }

// ended puts a lane back without its first delivery, and with others in its place.
func (q *queue) ended(l *lane, instead []job) {
	clear(q.crowded)
	l.jobs[0] = job{}
	if l.jobs = l.jobs[1:]; len(instead) > 0 {
		l.jobs = append(instead, l.jobs...)
	}
	if len(l.jobs) > 0 {
		q.put(l)
	} else {
		q.forget(l)
	}
}

// laneHeap is lanes as a heap by their next row.
type laneHeap []*lane

func (l laneHeap) Len() int { return len(l) }

func (l laneHeap) Less(i, j int) bool { return l[i].before(l[j]) }

func (l laneHeap) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

func (l *laneHeap) Push(x any) { *l = append(*l, x.(*lane)) }

func (l *laneHeap) Pop() any {
	old := *l
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return x
}
