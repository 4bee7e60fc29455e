package host

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/rest"
)

// groupFolder is the folder of connectors (or the files that were named) of a worker in a group. All workers announce
// what theirs holds; the leader brings what it has made in the config topic to its own, while no other has another one.
// A worker without a folder hinders nobody, and does nothing to connectors of folders while it leads.
//
// Invariants: a connector that a folder has made has a note in the config topic, written in one transaction with it.
// What has none is REST's, and no folder changes or deletes it.
type groupFolder struct {
	of    *clustered
	files *reloader // its store is the folder; REST and it take turns by one lock

	mu     sync.Mutex
	digest string // of what was found, before that of what was read at the start; "" without a folder
	differ string // the workers whose folders differ from that of this one, which leads
}

func newGroupFolder(c *clustered, applying guard.Turn) *groupFolder {
	f := &groupFolder{of: c, files: newReloader(c.host, c.host.folder(c.given), applying)}
	if c.host.config.Files.Folder != "" || len(c.given) > 0 {
		f.digest = config.FolderDigest(c.given)
	}
	return f
}

// announced is the digest of the folder as the group hears it, "" without one.
func (f *groupFolder) announced() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.digest
}

// apply takes what the folder holds, and has the config topic hold the same, while the worker leads and no other has
// another folder. What cannot be applied yet is tried again with the next look at the folder, lookEvery later at most.
func (f *groupFolder) apply(ctx context.Context, s config.Snapshot) {
	f.files.general(s.Problems)
	group, leads := f.of.Overview()
	if !f.agreed(s, group, leads && f.of.MemberIDs() != nil) || f.files.applying.Lock(ctx) != nil {
		return
	}
	defer f.files.applying.Unlock()
	topic, _ := f.of.store.Snapshot()
	notes := f.of.store.Annotations(config.FolderAnnotation)
	var records []config.Record
	found := func(ctx context.Context, c *config.Connector) config.Problems {
		problems := f.check(topic, notes, c)
		if problems.Err() == nil {
			problems = append(problems, f.files.check(ctx, c)...)
		}
		return problems
	}
	f.files.bring(ctx, s, config.FolderConnectors(topic, notes, f.of.host.config.Files.Folder, s.Connectors),
		s.Connectors,
		found, func(step config.Change, _ bool) { records = append(records, step.Records(topic, notes)...) })
	if len(records) == 0 || ctx.Err() != nil {
		return
	}
	err := f.of.log.Refresh(ctx)
	if err == nil && f.of.store.IsStale(topic) { // by another leader, say: its connector would be overwritten
		return
	}
	if err == nil {
		_, err = f.of.store.Write(ctx, records...)
	}
	if err != nil && ctx.Err() == nil {
		f.files.log.Error("the folder of connectors was not applied, which is tried again", "error", err)
	}
}

// agreed announces the content of the folder. It reports whether this worker leads, the group has received the
// announcement, and no other worker has a folder with other content. Until the group has received it, earlier
// differences are still reported.
func (f *groupFolder) agreed(s config.Snapshot, group rest.Group, leads bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.digest != "" && s.Problems.Err() == nil { // else all goes on as it is
		f.digest = config.FolderDigest(s.Connectors)
	}
	differ, known := differing(f.digest, group)
	switch {
	case !leads:
		differ = ""
	case !known:
		return false
	}
	if differ != "" && differ != f.differ {
		f.files.log.Warn(notApplied, "workers", differ)
	}
	f.differ = differ
	return leads && differ == "" && f.digest != ""
}

// differing returns the workers whose folders are others than that of the leader, whose digest it is. known is false if
// the group has not heard of that digest yet.
func differing(digest string, group rest.Group) (others string, known bool) {
	var ids []string
	for _, m := range group.Members {
		switch {
		case m.WorkerID == group.Leader:
			known = m.Digest == digest
		case !m.Leaving && m.Digest != "" && m.Digest != digest:
			ids = append(ids, m.WorkerID)
		}
	}
	return strings.Join(ids, ", "), known
}

const notApplied = "folders of connectors are not applied: those of other workers differ from that of this one, " +
	"which leads"

// check returns what keeps a connector of the folder from being written to a config topic with these notes of folders.
func (f *groupFolder) check(topic config.Snapshot, notes map[string]json.RawMessage,
	c *config.Connector) config.Problems {
	if _, there := topic.ConfigOffsets[c.Name]; there && notes[c.Name] == nil {
		return config.Problems{c.Locate(config.Problem{Setting: "name", Text: fmt.Sprintf("expected a name that no "+
			"connector has which REST made in the group, found %s: delete one of them", c.Name)})}
	}
	return f.of.host.in.Worker.SharedProblems(c, check.Passwords(f.of.host.now().plugins))
}

// shown are the connectors of the folder, and the problem that it is not applied.
func (f *groupFolder) shown() (have []config.RunningConnector, problems []string) {
	for _, c := range f.files.all() {
		have = append(have, config.RunningConnector{Name: c.Name, File: c.File})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	problems = []string{}
	if f.differ != "" {
		problems = append(problems, notApplied+": "+f.differ)
	}
	return have, problems
}

// holds refuses a change by REST of a connector that a folder has made, which it would undo. Where no worker of the
// group has a folder any more it is REST's.
func (f *groupFolder) holds(name string) error {
	note := f.of.store.Annotations(config.FolderAnnotation)[name]
	group, _ := f.of.Overview()
	if note == nil || !slices.ContainsFunc(group.Members, func(m rest.GroupMember) bool { return m.Digest != "" }) {
		return nil
	}
	return &config.ReadOnlyError{Connector: name, File: config.AnnotatedFile(note),
		Reason: "in the folder of connectors that workers of the group have (--config)"}
}
