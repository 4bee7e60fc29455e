package group

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
)

// Folder is the connector folder (or the named files) of a worker in a group. Each worker publishes its digest.
// The leader writes its connectors to the config topic if no other worker has different files.
//
// Invariants: a connector from a folder has an annotation in the config topic, written in one transaction with it. A
// connector without one belongs to REST.
type Folder struct {
	worker *Worker
	files  *reload.Reloader // of the files; it shares its lock with REST

	mu          sync.Mutex
	digest      string // of the worker's connectors; "" if it has neither a folder nor named files
	conflicting string // the workers whose folders differ from this leader's; "" also means no leader
}

// recordBatch is the number of records of a folder from which they are written: with each batch the group distributes
// its connectors again. Connectors of named files are written together.
const recordBatch = 100

// apply writes the connectors of the folder to the config topic if this worker leads and the folders agree. It yields
// the lock after each check.
func (f *Folder) apply(ctx context.Context, s config.Snapshot) {
	f.files.LogGlobalProblems(s.Problems)
	group, isLeader := f.worker.Overview()
	if !f.publishDigest(s, group, isLeader && f.worker.MemberIDs() != nil) || f.files.Lock.Lock(ctx) != nil {
		return
	}
	defer f.files.Lock.Unlock()
	topic, _ := f.worker.store.Snapshot()
	annotations := f.worker.store.Annotations(configtopic.FolderAnnotation)
	var records []configtopic.Record
	var names []string // of the connectors of records
	examine := func(ctx context.Context, c *resolved.Connector) config.Problems {
		problems := f.check(topic, annotations, c)
		if problems.Err() == nil {
			problems = append(problems, f.files.Check(ctx, c)...)
		}
		return problems
	}
	write := func() bool {
		isWritten := len(records) == 0 || f.write(ctx, topic, names, records)
		records = nil
		names = nil
		return isWritten
	}
	isFolder := f.worker.Files.Folder != ""
	connectors := f.files.Resolve(s)
	current := folderConnectors(topic, annotations, f.worker.Files.Folder, connectors)
	f.files.Reconcile(ctx, s, current, connectors, examine, func(change resolved.Change, _ bool) bool {
		if changes := changeRecords(change, topic, annotations); len(changes) > 0 {
			records = append(records, changes...)
			names = append(names, change.Name)
		}
		if isFolder && len(records) >= recordBatch && !write() {
			return false
		}
		f.files.Lock.Yield()
		return !isFolder || !f.files.Superseded(s)
	})
	if ctx.Err() == nil {
		write()
	}
}

// write writes records in one transaction, and reports whether it did: not if the topic has newer records of their
// connectors than the snapshot, for example of REST.
func (f *Folder) write(ctx context.Context, topic config.Snapshot, names []string, records []configtopic.Record) bool {
	err := f.worker.log.Refresh(ctx)
	if err == nil && slices.ContainsFunc(names, func(name string) bool {
		offset, _ := f.worker.store.ConfigOffset(name)
		return offset != topic.ConfigOffsets[name]
	}) {
		return false
	}
	if err == nil {
		_, err = f.worker.store.Write(ctx, records...)
	}
	if err != nil && ctx.Err() == nil {
		f.worker.Log.Warn("the connector folder could not be applied; the worker will retry", "error", err)
	}
	return err == nil
}

// publishDigest publishes the digest, logs a new conflict, and reports whether this worker may apply its folder.
func (f *Folder) publishDigest(s config.Snapshot, group groupview.Group, isLeader bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.digest != "" && s.Problems.Err() == nil { // else the digest stays
		f.digest = connectorsDigest(s.Connectors)
	}
	conflicting, isKnown := conflictingWorkers(f.digest, group)
	switch {
	case !isLeader:
		conflicting = ""
	case !isKnown: // this worker rejoins with its new digest
		return false
	}
	if conflicting != "" && conflicting != f.conflicting {
		f.worker.Log.Warn(conflictMessage, "workers", conflicting)
	}
	f.conflicting = conflicting
	return isLeader && conflicting == "" && f.digest != ""
}

// conflictingWorkers lists workers whose folders differ. isKnown means that the group has the leader's digest.
func conflictingWorkers(digest string, group groupview.Group) (conflicting string, isKnown bool) {
	var ids []string
	for _, m := range group.Members {
		switch {
		case m.WorkerID == group.Leader:
			isKnown = m.Digest == digest
		case !m.Leaving && m.Digest != "" && m.Digest != digest:
			ids = append(ids, m.WorkerID)
		}
	}
	return strings.Join(ids, ", "), isKnown
}

const conflictMessage = "connector folders are not applied: the folders of other workers differ from the leader's"

// check returns the problems that prevent writing a connector of the folder to the config topic.
func (f *Folder) check(topic config.Snapshot, annotations map[string]json.RawMessage,
	c *resolved.Connector) config.Problems {
	if _, ok := topic.ConfigOffsets[c.Name]; ok && annotations[c.Name] == nil {
		return config.Problems{c.Locate(config.Problem{Setting: "name",
			Text: fmt.Sprintf("expected a name that no connector created by REST in the group has, found %s: delete "+
				"one of them", c.Name)})}
	}
	return f.worker.Settings.SharedProblems(c.Connector, resolved.Passwords(f.worker.Parts.Get().Plugins))
}

// FolderConnectors implements [View].
func (w *Worker) FolderConnectors() (connectors []resolved.RunningConnector, problems []string) {
	return w.openedFolder().connectors()
}

func (w *Worker) openedFolder() *Folder {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.folder
}

func (f *Folder) connectors() (connectors []resolved.RunningConnector, problems []string) {
	for _, c := range f.files.Connectors() {
		connectors = append(connectors, resolved.RunningConnector{Name: c.Name, File: c.File})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	problems = []string{}
	if f.conflicting != "" {
		problems = append(problems, conflictMessage+": "+f.conflicting)
	}
	return connectors, problems
}

// CheckOwnership implements [View].
func (w *Worker) CheckOwnership(name string) error {
	annotation := w.store.Annotations(configtopic.FolderAnnotation)[name]
	group, _ := w.Overview()
	hasFolder := slices.ContainsFunc(group.Members, func(m groupview.Member) bool { return m.Digest != "" })
	if annotation == nil || !hasFolder {
		return nil
	}
	return &config.ReadOnlyError{Connector: name, File: configtopic.AnnotatedFile(annotation),
		Reason: "in the folder of connectors that workers of the group have (--config)"}
}
