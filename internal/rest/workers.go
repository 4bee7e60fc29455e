package rest

import (
	"cmp"
	"maps"
	"net/http"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/buildinfo"
)

// WorkerInfo is a worker of the group, a former one, or the only one. Unknown values of a worker that does not answer
// are empty.
type WorkerInfo struct {
	Worker  string     `json:"worker"` // its id, "" for all others while no leader is known
	State   string     `json:"state"`  // answers, silent, or lost or left for one that is no member any more
	Leader  bool       `json:"leader"` // also of a worker without a group
	Version string     `json:"version"`
	Started *time.Time `json:"started"`
	Tasks   *int       `json:"tasks"`
	Memory  *uint64    `json:"memory"` // bytes that the process has from the operating system
	Plugins []string   `json:"plugins"`
	Seen    *time.Time `json:"seen"`  // when it last answered
	Error   string     `json:"error"` // why it does not answer, such as FormerWorker.Text
}

func (req *request) workers() {
	infos := []WorkerInfo{req.ownInfo()}
	isLeader := infos[0].Leader
	answers, err := req.queryWorkers("", http.StatusOK)
	_ = mergeAnswers(answers, func(worker string, others []WorkerInfo) {
		for _, info := range others {
			info.Worker = worker
			info.Leader = false
			infos = append(infos, info)
		}
	})
	for _, answer := range answers {
		if answer.err != nil {
			infos = append(infos, WorkerInfo{Worker: answer.worker, State: "silent", Plugins: []string{},
				Error: answer.err.Error()})
		}
	}
	if !req.queryBool("own") {
		group, _ := req.cluster.Overview()
		for _, former := range group.Former {
			infos = append(infos, WorkerInfo{Worker: former.WorkerID, State: former.State(), Plugins: []string{},
				Error: former.Text})
		}
		req.seen.update(infos, isLeader)
	}
	slices.SortFunc(infos, func(a, b WorkerInfo) int { return cmp.Compare(a.Worker, b.Worker) })
	req.reply(infos, err)
}

// seenWorkers remembers when the workers of the group last answered. It is safe for concurrent use.
type seenWorkers struct {
	mu       sync.Mutex
	byWorker map[string]*time.Time // of the last workers
}

// update sets the times of workers that do not answer in infos. The leader forgets workers that are not among infos.
func (s *seenWorkers) update(infos []WorkerInfo, isLeader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := map[string]*time.Time{}
	if !isLeader {
		maps.Copy(current, s.byWorker)
	}
	for i := range infos {
		info := &infos[i]
		info.Seen = cmp.Or(info.Seen, s.byWorker[info.Worker])
		current[info.Worker] = info.Seen
	}
	s.byWorker = current
}

// ownInfo describes this worker.
func (req *request) ownInfo() WorkerInfo {
	parts := req.worker.Now()
	seen := time.Now().UTC().Truncate(time.Second)
	tasks := req.herder().RunningTasks()
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	memory := sample[0].Value.Uint64() - sample[1].Value.Uint64()
	started := parts.Started.UTC().Truncate(time.Second)
	info := WorkerInfo{Worker: parts.ID, State: "answers", Version: buildinfo.Product(), Started: &started,
		Leader: req.cluster.Membership().IsLeader, Tasks: &tasks, Memory: &memory,
		Plugins: []string{}, Seen: &seen}
	if parts.Plugins == nil {
		return info
	}
	for _, module := range parts.Plugins.Modules() {
		if module.State() == "active" {
			info.Plugins = append(info.Plugins, module.Name+" "+module.Version)
		}
	}
	return info
}
