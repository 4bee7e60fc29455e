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

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/rest"
)

// groupBytes is how large brokers let the record become that holds metadata and assignments of all members of a group
// (message.max.bytes, by default).
const groupBytes = 1_000_000

// doubts are what a leader says of its group, under its lock.
type doubts struct {
	// unplaced says why connectors, or tasks of them, are given to nobody; barred why nothing is, "" where it may be.
	unplaced map[string]string
	barred   string
	// group holds warnings about the group's members, unreached holds warnings about members that do not answer.
	group, unreached []string
}

// grouped is the config topic as groups take it.
type grouped interface {
	Group() string
	CheckGroup() error
	Write(ctx context.Context, records ...config.Record) (last int64, err error)
}

// takeTopic has the config topic be a group's where it is nobody's, and returns nil when it is.
//
// Two groups never both run what stands there. Of two that find no note and write theirs, the first in the topic
// counts, and each reads it before it reads its own. Only the group itself gives the topic away, by its release: that
// it has no members says nothing of one that is paused, and goes on to write.
func takeTopic(ctx context.Context, group string, topic grouped) error {
	for topic.Group() == "" {
		if _, err := topic.Write(ctx, config.GroupRecord(group, true)); err != nil {
			return err
		}
	}
	return topic.CheckGroup()
}

// takes tells whether the config topic is this group's, and has it be so where it can.
func (l *leader) takes(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	o, why := &l.w.o, ""
	if err := takeTopic(limited, o.Group.Group, o.Store); err != nil {
		why = err.Error()
	}
	l.mu.Lock()
	news := why != l.barred
	l.barred = why
	l.mu.Unlock()
	if news && why != "" && ctx.Err() == nil {
		o.Logger.Error("this group runs nothing; it is tried again", "group", o.Group.Group, "error", why)
	}
	return why == ""
}

// doubt records possible problems of the group. size is the total length of all metadata and assignments in bytes,
// unread is why the config topic could not be read, or nil.
func (l *leader) doubt(all []Member, size int, unread error) {
	var found []string
	topic := l.w.o.Group.Topic
	if unread != nil {
		found = append(found, fmt.Sprintf("expected to read topic %s before anything moves, found %v: each worker "+
			"goes on with what it has, and it is tried again", topic, unread))
	}
	for _, m := range all {
		if !l.w.reads(m.Metadata) {
			found = append(found, fmt.Sprintf("expected config.storage.topic=%s at worker %s, as at %s, which leads, "+
				"found %s: it is given nothing. It is to have the same topic, or a group.id of its own", topic,
				workerID(m.URL), l.w.o.WorkerID, m.Topic))
		}
		if m.Lags {
			found = append(found, fmt.Sprintf("expected worker %s to read topic %s, found that it has not for "+
				"worker.sync.timeout.ms: it is given nothing until it has", workerID(m.URL), topic))
		}
	}
	if twice := sharedURL(all); twice != "" {
		found = append(found, fmt.Sprintf("expected workers with URLs of their own (rest.advertised.host.name and "+
			".port), found two at %s: what one is asked may reach the other, and no offsets are changed meanwhile. "+
			"One that was killed and is back is here twice until session.timeout.ms is over", twice))
	}
	if size > groupBytes/2 {
		found = append(found, fmt.Sprintf("expected the metadata and assignments of all members to need at most %d "+
			"bytes, half of what brokers accept as one record (message.max.bytes), found %d: with more connectors or "+
			"workers the group may not form any more", groupBytes/2, size))
	}
	l.mu.Lock()
	before := l.doubts.group
	l.doubts.group = found
	l.mu.Unlock()
	l.warn(before, found)
}

// reachWithin is how long a member may take to answer at the URL that it advertises, from the beginning of a generation
// on: it may have to read the session key first.
const reachWithin = 10 * time.Second

// reach asks all members of a generation for something, and those that do not answer again and again until ctx ends.
func (l *leader) reach(ctx context.Context, members []Member) {
	for {
		found := make([]string, len(members))
		var asking sync.WaitGroup
		for i, m := range members {
			asking.Go(func() {
				defer guard.Recover(l.w.o.Logger, "asking worker "+workerID(m.URL), nil)
				if err := l.answers(ctx, m.URL); err != nil {
					found[i] = fmt.Sprintf("expected worker %s to answer at %s, which it advertises, found %v: other "+
						"workers hand requests for what it runs on to there. Give it a rest.advertised.host.name and "+
						".port at which they reach it", workerID(m.URL), m.URL, err)
				}
			})
		}
		asking.Wait()
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		before := l.unreached
		l.unreached = slices.DeleteFunc(slices.Clone(found), func(text string) bool { return text == "" })
		l.mu.Unlock()
		l.warn(before, found)
		var again []Member
		for i, m := range members {
			if found[i] != "" {
				again = append(again, m)
			}
		}
		if members = again; len(members) == 0 || pause.For(ctx, cleanEvery) != nil {
			return
		}
	}
}

// answers returns nil if a worker answers at its URL. A worker that is still starting counts, and so does a body that
// this version cannot decode.
func (l *leader) answers(ctx context.Context, to string) error {
	if to == l.w.o.URL {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	for {
		asking, end := context.WithTimeout(ctx, askedWithin)
		err := l.w.o.Call(asking, to, OwnedCall, "", nil, nil)
		end()
		if refused := (*rest.Refusal)(nil); errors.As(err, &refused) && refused.Status == http.StatusConflict {
			return nil
		}
		if err == nil || pause.For(ctx, stillEvery) != nil {
			return err
		}
	}
}

// warn logs what was found and was not found before.
func (l *leader) warn(before, found []string) {
	for _, text := range found {
		if text != "" && !slices.Contains(before, text) {
			l.w.o.Logger.Warn("something is wrong with the members of the group", "reason", text)
		}
	}
}

// reads tells whether a member reads the config topic that this worker reads.
func (w *Worker) reads(m Metadata) bool { return m.Topic == "" || m.Topic == w.o.Group.Topic }

// sameTopic is an error where a member of the group that the worker is to join reads another config topic. Where the
// coordinator does not say, the leader finds out.
func (w *Worker) sameTopic(ctx context.Context) error {
	g, err := w.o.Log.admin.Group(ctx, w.o.Group.Group)
	if err != nil {
		w.o.Logger.Debug("it is not known yet which config topic the members of the group read", "error", err)
	}
	for _, member := range g.Members {
		if m, err := DecodeMetadata(member.Metadata); err == nil && !w.reads(m) {
			return fmt.Errorf("group.id=%s: expected config.storage.topic=%s as worker %s of the group has it, found "+
				"%s: give this worker the same topic, or a group.id of its own", w.o.Group.Group, m.Topic,
				workerID(m.URL), w.o.Group.Topic)
		}
	}
	return nil
}

// sharedURL is one that two members advertise, "" for none.
func sharedURL(all []Member) string {
	for i, m := range all {
		if slices.ContainsFunc(all[:i], func(o Member) bool { return strings.EqualFold(o.URL, m.URL) }) {
			return m.URL
		}
	}
	return ""
}
