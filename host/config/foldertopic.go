package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// FolderAnnotation is what the keys of notes begin with that say which connectors of a topic a folder has made; the
// name of the connector follows. All others are REST's.
const FolderAnnotation = string(KindAnnotation) + "folder-"

// folderNote notes that the folder has made a connector, with the file's name, so that a file which breaks keeps its
// connector; without a file it is not the folder's any more.
func folderNote(connector, file string) Record {
	r := Record{Key: FolderAnnotation + connector}
	if file != "" {
		r.Value = encoded(object{"file": filepath.Base(file)})
	}
	return r
}

// gone are the records by which a connector is deleted.
func gone(name string) []Record {
	return []Record{ConnectorRecord(name, nil), TargetRecord(name, "")}
}

// AnnotatedFile is the name of the file that a note names.
func AnnotatedFile(note json.RawMessage) string {
	var n struct{ File string }
	_ = json.Unmarshal(note, &n) // what is not ours says nothing
	return n.File
}

// FolderConnectors are the connectors of a topic that a folder has made, for a [Diff] with those that it has now, of
// files. notes are those of [FolderAnnotation].
func FolderConnectors(topic Snapshot, notes map[string]json.RawMessage, folder string,
	files []*Connector) (have []RunningConnector) {
	paths, named := map[string]string{}, map[string]*Connector{}
	for _, c := range files {
		paths[filepath.Base(c.File)], named[c.Name] = c.File, c
	}
	for _, c := range topic.Connectors {
		note, made := notes[c.Name]
		if !made {
			continue
		}
		file := AnnotatedFile(note)
		now := RunningConnector{Name: c.Name, File: cmp.Or(paths[file], filepath.Join(folder, file)), Raw: c.Raw()}
		if given := named[c.Name]; given != nil && maps.Equal(given.Raw(), now.Raw) {
			now.Config = given // so that its warnings are not logged again and again
		}
		have = append(have, now)
	}
	return have
}

// Records are what a step of a plan writes to the topic of configurations: where the folder has a connector, with the
// note of that. A new one has the target state that the topic has by now, else its own. None where nothing is changed.
func (s Change) Records(topic Snapshot, notes map[string]json.RawMessage) (records []Record) {
	switch s.Action {
	case NoChange:
		if AnnotatedFile(notes[s.Name]) != filepath.Base(s.Connector.File) {
			records = append(records, folderNote(s.Name, s.Connector.File))
		}
	case Create, UpdateInPlace, Restart:
		if s.Action == Create && topic.Targets[s.Name] == "" && s.Connector.InitialState != nil {
			records = append(records, TargetRecord(s.Name, s.Connector.InitialTarget()))
		}
		records = append(records, folderNote(s.Name, s.Connector.File), ConnectorRecord(s.Name, s.Connector.Raw()))
	case Remove:
		records = append(gone(s.Name), folderNote(s.Name, ""))
	case Reject:
	}
	return records
}

// FolderDigest stands for what connectors of a folder say, whatever their files are called: workers with equal ones
// have equal folders. Secrets are in it as far as files hold them, as part of a hash.
func FolderDigest(connectors []*Connector) string {
	all := map[string]any{}
	for _, c := range connectors {
		all[c.Name] = []any{c.Raw(), c.InitialTarget()}
	}
	sum := sha256.Sum256(encoded(all))
	return hex.EncodeToString(sum[:16])
}

// SharedProblems are the problems that a connector of a file has where it stands in the topic of configurations, which
// all workers and REST write: only providers that `config.providers` names resolve its references, and
// `config.storage.secrets` may refuse passwords in clear text.
func (w *Worker) SharedProblems(c *Connector, password func(key string) bool) Problems {
	entries := slices.Clone(c.Entries)
	for i := range entries {
		entries[i].FromREST = true
	}
	_, problems := NewConnector(c.File, entries, w.Providers)
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return slices.Contains(c.Problems, p) })
	return append(problems, w.ClearTextProblems(c, password)...)
}

// SecretsSetting is the setting that says whether passwords may stand in the topic of configurations.
const SecretsSetting = "config.storage.secrets"

// ClearTextProblems are the problems of passwords that are no references, where the worker's group refuses them.
func (w *Worker) ClearTextProblems(c *Connector, password func(key string) bool) (problems Problems) {
	if !w.InGroup() || !strings.EqualFold(w.Text(SecretsSetting), "refuse") {
		return nil
	}
	for _, e := range c.Entries {
		if setting.Trim(e.Raw) != "" && password(e.Key) && !w.Providers.refers(e) {
			problems = append(problems, e.problem("expected a reference to a config provider, since %s=refuse keeps "+
				"passwords out of config.storage.topic, found the password: write ${file:PATH:KEY} or ${env:NAME}, "+
				"with a name that stands in config.providers (there: %s)", SecretsSetting,
				cmp.Or(strings.Join(w.Providers.declared, ", "), "none")))
		}
	}
	return problems
}
