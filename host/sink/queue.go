package sink

import "container/heap"

// queue holds the deliveries of a batch that are to be made, by lane. Of those that may begin, the one with the batch's first row is
// next. It belongs to one goroutine.
type queue struct {
	// ready are the lanes of which nothing is on its way, by the partition of their next row.
	ready map[*partition]*lanes
	// crowded are partitions whose next delivery waits until another one has ended.
	crowded     map[*partition]bool
	partitionOf func(*job) *partition
}

// lane is deliveries that go one after another, none of them empty.
type lane struct{ jobs []job }

func (l *lane) row() uint32 { return l.jobs[0].rows[0] }

func newQueue(jobs []job, partitionOf func(*job) *partition) *queue {
	q := &queue{ready: map[*partition]*lanes{}, crowded: map[*partition]bool{}, partitionOf: partitionOf}
	all := map[uint32]*lane{}
	for _, j := range jobs {
		if j.refused != nil { // it has no lane
			q.put(&lane{jobs: []job{j}})
			continue
		}
		l := all[j.Lane]
		if l == nil {
			l = &lane{}
			all[j.Lane] = l
		}
		l.jobs = append(l.jobs, j)
	}
	for _, l := range all {
		q.put(l)
	}
	return q
}

func (q *queue) put(l *lane) {
	p := q.partitionOf(&l.jobs[0])
	if q.ready[p] == nil {
		q.ready[p] = &lanes{}
	}
	heap.Push(q.ready[p], l)
}

// first is the lane that is next; nil: there is none.
func (q *queue) first() *lane {
	var first *lane
	for p, all := range q.ready {
		if len(*all) > 0 && !q.crowded[p] && (first == nil || (*all)[0].row() < first.row()) {
			first = (*all)[0]
		}
	}
	return first
}

// begin takes the lane that is next out, until it has ended.
func (q *queue) begin(l *lane) { heap.Pop(q.ready[q.partitionOf(&l.jobs[0])]) }

// setAside takes the lane that is next out for good.
func (q *queue) setAside(l *lane) { q.begin(l) }

// full has the lane that is next wait until another one has ended.
func (q *queue) full(l *lane) { q.crowded[q.partitionOf(&l.jobs[0])] = true }

// ended puts a lane back without its first delivery, and with others in its place.
func (q *queue) ended(l *lane, instead []job) {
	clear(q.crowded)
	if l.jobs = l.jobs[1:]; len(instead) > 0 {
		l.jobs = append(instead, l.jobs...)
	}
	if len(l.jobs) > 0 {
		q.put(l)
	}
}

// lanes are a heap by their next row.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].row() < l[j].row() }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*lane)) }
func (l *lanes) Pop() any {
	old := *l
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return x
}
