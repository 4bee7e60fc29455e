package configtopic

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
)

// FolderAnnotation begins the keys of annotations of connectors from a folder. The values contain the file's name.
const FolderAnnotation = string(KindAnnotation) + "folder-"

// folderAnnotation returns the record that marks a connector as created by a file. An empty file deletes it.
func folderAnnotation(connector, file string) Record {
	r := Record{Key: FolderAnnotation + connector}
	if file != "" {
		r.Value = encodeJSON(object{"file": filepath.Base(file)})
	}
	return r
}

func deleteRecords(name string) []Record {
	return []Record{ConnectorRecord(name, nil), TargetRecord(name, "")}
}

// AnnotatedFile returns the file name in an annotation of FolderConnectors, "" if the annotation is nil or damaged.
func AnnotatedFile(annotation json.RawMessage) string {
	var decoded struct{ File string }
	_ = json.Unmarshal(annotation, &decoded) // a damaged annotation names no file
	return decoded.File
}

// FolderConnectors returns the topic's connectors that a folder has created, for [resolved.Diff] with its files.
func FolderConnectors(topic config.Snapshot, annotations map[string]json.RawMessage, folder string,
	files []*resolved.Connector) (connectors []resolved.RunningConnector) {
	paths := map[string]string{}
	byName := map[string]*resolved.Connector{}
	for _, c := range files {
		paths[filepath.Base(c.File)] = c.File
		byName[c.Name] = c
	}
	for _, c := range topic.Connectors {
		annotation, ok := annotations[c.Name]
		if !ok {
			continue
		}
		file := AnnotatedFile(annotation)
		running := resolved.RunningConnector{Name: c.Name, File: cmp.Or(paths[file], filepath.Join(folder, file)),
			Raw: c.Raw()}
		if fromFile := byName[c.Name]; fromFile != nil && maps.Equal(fromFile.Raw(), running.Raw) {
			running.Config = fromFile // its warnings were logged already
		}
		connectors = append(connectors, running)
	}
	return connectors
}

// ChangeRecords returns the records of a change by the folder. An existing target state stays.
func ChangeRecords(change resolved.Change, topic config.Snapshot,
	annotations map[string]json.RawMessage) (records []Record) {
	switch change.Action {
	case resolved.NoChange:
		if AnnotatedFile(annotations[change.Name]) != filepath.Base(change.Connector.File) {
			records = append(records, folderAnnotation(change.Name, change.Connector.File))
		}
	case resolved.Create, resolved.UpdateInPlace, resolved.Restart:
		if change.Action == resolved.Create && topic.Targets[change.Name] == "" && change.Connector.InitialState != nil {
			records = append(records, TargetRecord(change.Name, change.Connector.InitialTarget()))
		}
		records = append(records, folderAnnotation(change.Name, change.Connector.File),
			ConnectorRecord(change.Name, change.Connector.Raw()))
	case resolved.Remove:
		records = append(deleteRecords(change.Name), folderAnnotation(change.Name, ""))
	case resolved.Reject: // no records: the connector stays as it is
	}
	return records
}

// FolderDigest returns a hash of a folder's connectors without their file names, by which workers compare folders.
func FolderDigest(connectors []*config.Connector) string {
	contents := map[string]any{}
	for _, c := range connectors {
		contents[c.Name] = []any{c.Raw(), c.InitialTarget()}
	}
	sum := sha256.Sum256(encodeJSON(contents))
	return hex.EncodeToString(sum[:16])
}
