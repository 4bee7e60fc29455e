package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
)

const groupRecordLimit = 1_000_000 // about the default of message.max.bytes

// groupProblems are the problems that the leader has found in its last plan and since. REST shows them.
type groupProblems struct {
	unplaced    map[string]string // by connector: why it or its tasks are not assigned
	blocked     string            // why nothing is assigned; "" if the group may run the topic's connectors
	members     []string          // problems with the members' settings, as of the last plan
	unreachable []string          // members that do not respond at their URLs
}

type groupTopic interface {
	Group() string
	CheckGroup() error
	Write(ctx context.Context, records ...configtopic.Record) (last int64, err error)
}

// claimTopic claims the config topic for a group unless another one owns it. Two groups never both run its connectors:
// the first annotation in the topic counts, and each reads it before its own. Only the owner releases the topic:
// without members it may still be paused and continue to write.
func claimTopic(ctx context.Context, group string, topic groupTopic) error {
	for topic.Group() == "" {
		if _, err := topic.Write(ctx, configtopic.GroupRecord(group, true)); err != nil {
			return err
		}
	}
	return topic.CheckGroup()
}

// ownsTopic claims the config topic for the group and reports whether the group owns it. It blocks up to writeTimeout.
func (l *leader) ownsTopic(ctx context.Context) bool {
	claimCtx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	options := &l.worker.options
	reason := ""
	if err := claimTopic(claimCtx, options.Group.Group, options.Store); err != nil {
		reason = err.Error()
	}
	l.mu.Lock()
	changed := reason != l.blocked
	l.blocked = reason
	l.mu.Unlock()
	if changed && reason != "" && ctx.Err() == nil {
		options.Logger.Error("this group runs no connectors; retrying", "group", options.Group.Group, "error", reason)
	}
	return reason == ""
}

// recordProblems finds the problems with the settings of members and logs new ones. recordBytes is the size of the
// group's record, readErr why the leader could not read the config topic up to its end, or nil.
func (l *leader) recordProblems(members []Member, recordBytes int, readErr error) {
	var problems []string
	topic := l.worker.options.Group.Topic
	if readErr != nil {
		problems = append(problems, fmt.Sprintf(
			"expected to read topic %s before a new assignment, found %v: assignments stay as they are, and the "+
				"leader retries", topic, readErr))
	}
	for _, member := range members {
		if !l.worker.readsSameTopic(member.Metadata) {
			problems = append(problems, fmt.Sprintf(
				"expected config.storage.topic=%s at worker %s, as at %s, which leads, "+
					"found %s: it gets no assignment. Give it the same topic, or its own group.id", topic,
				workerID(member.URL), l.worker.options.WorkerID, member.Topic))
		}
		if member.IsBehind {
			problems = append(problems, fmt.Sprintf(
				"expected worker %s to keep up with topic %s, found it behind for longer than "+
					"worker.sync.timeout.ms: it gets no assignment until it has caught up", workerID(member.URL),
				topic))
		}
	}
	if url := duplicateURL(members); url != "" {
		problems = append(problems, fmt.Sprintf(
			"expected a different URL for each worker (rest.advertised.host.name and .port), found two at %s: "+
				"requests to one may reach the other, and offsets cannot be changed. A worker that was killed and "+
				"restarted is listed twice until session.timeout.ms expires", url))
	}
	if recordBytes > groupRecordLimit/2 {
		problems = append(problems, fmt.Sprintf(
			"expected the metadata and assignments of all members to need at most %d "+
				"bytes, half of what brokers accept as one record (message.max.bytes), found %d: with more connectors "+
				"or workers the group may no longer form", groupRecordLimit/2, recordBytes))
	}
	l.mu.Lock()
	previous := l.groupProblems.members
	l.groupProblems.members = problems
	l.mu.Unlock()
	l.logNewProblems(previous, problems)
}

const probeTimeout = 10 * time.Second // includes that a member may have to read the session key first

// memberProber checks for each generation whether the members can be reached at the URLs that they advertise.
type memberProber struct {
	leader     *leader
	generation int32
	cancel     context.CancelFunc
	running    sync.WaitGroup
}

// update starts probes for a new generation of this leader, and cancels earlier ones. The leader's lock must be held.
func (p *memberProber) update(ctx context.Context) {
	l := p.leader
	if l.generation == p.generation {
		return
	}
	if p.cancel != nil {
		p.cancel()
	}
	p.generation = l.generation
	l.unreachable = nil
	ctx, p.cancel = context.WithCancel(ctx)
	members := l.members
	if l.generation != 0 {
		p.running.Go(func() { l.probeMembers(ctx, members) })
	}
}

func (p *memberProber) stop() {
	if p.cancel != nil {
		p.cancel()
	}
	p.running.Wait()
}

// probeMembers records which members cannot be reached, and repeats that for these until all can be, or ctx ends.
func (l *leader) probeMembers(ctx context.Context, members []Member) {
	for {
		problems := make([]string, len(members))
		var probes sync.WaitGroup
		for i, m := range members {
			probes.Go(func() {
				defer guard.Recover(l.worker.options.Logger, "asking worker "+workerID(m.URL), nil)
				if err := l.probe(ctx, m.URL); err != nil {
					problems[i] = fmt.Sprintf(
						"expected worker %s to respond at its advertised URL %s, found %v: other workers forward "+
							"requests there. Set rest.advertised.host.name and .port to an address that they can "+
							"reach", workerID(m.URL), m.URL, err)
				}
			})
		}
		probes.Wait()
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		previous := l.unreachable
		l.unreachable = slices.DeleteFunc(slices.Clone(problems), func(problem string) bool { return problem == "" })
		l.mu.Unlock()
		l.logNewProblems(previous, problems)
		var failed []Member
		for i, m := range members {
			if problems[i] != "" {
				failed = append(failed, m)
			}
		}
		members = failed
		if len(members) == 0 || pause.For(ctx, cleanInterval) != nil {
			return
		}
	}
}

// httpError is the error of a call that a worker has answered with an HTTP status.
type httpError interface{ HTTPStatus() int }

func (l *leader) probe(ctx context.Context, url string) error {
	if url == l.worker.options.URL {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for {
		callCtx, cancel := context.WithTimeout(ctx, memberCallTimeout)
		err := l.worker.options.Call(callCtx, url, OwnedCall, "", nil, nil)
		cancel()
		var answer httpError
		if errors.As(err, &answer) && answer.HTTPStatus() == http.StatusConflict { // it is still starting
			return nil
		}
		if err == nil || pause.For(ctx, ownedCheckInterval) != nil {
			return err
		}
	}
}

func (l *leader) logNewProblems(previous, problems []string) {
	for _, problem := range problems {
		if problem != "" && !slices.Contains(previous, problem) {
			l.worker.options.Logger.Warn("problem with the members of the group", "reason", problem)
		}
	}
}

func (w *Worker) readsSameTopic(m Metadata) bool {
	return m.Topic == "" || m.Topic == w.options.Group.Topic
}

// checkTopic fails if a member of the group reads another config topic. It passes if the coordinator is away.
func (w *Worker) checkTopic(ctx context.Context) error {
	g, err := w.options.Log.admin.Group(ctx, w.options.Group.Group)
	if err != nil {
		w.options.Logger.Debug("it is not known yet which config topic the members of the group read", "error", err)
	}
	for _, member := range g.Members {
		if m, err := DecodeMetadata(member.Metadata); err == nil && !w.readsSameTopic(m) {
			return fmt.Errorf("group.id=%s: expected config.storage.topic=%s as worker %s of the group has it, found "+
				"%s: give this worker the same topic, or its own group.id", w.options.Group.Group, m.Topic,
				workerID(m.URL), w.options.Group.Topic)
		}
	}
	return nil
}

// duplicateURL returns a URL that two members advertise, "" if there is no such URL.
func duplicateURL(members []Member) string {
	for i, m := range members {
		if slices.ContainsFunc(members[:i], func(o Member) bool { return strings.EqualFold(o.URL, m.URL) }) {
			return m.URL
		}
	}
	return ""
}
