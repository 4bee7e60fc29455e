package group

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/resolved"
)

// folderConnectors returns the topic's connectors that a folder has created, for [resolved.Diff] with its files.
func folderConnectors(topic config.Snapshot, annotations map[string]json.RawMessage, folder string,
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
		file := configtopic.AnnotatedFile(annotation)
		running := resolved.RunningConnector{Name: c.Name, File: cmp.Or(paths[file], filepath.Join(folder, file)),
			Raw: c.Raw()}
		if fromFile := byName[c.Name]; fromFile != nil && maps.Equal(fromFile.Raw(), running.Raw) {
			running.Config = fromFile // its warnings were logged already
		}
		connectors = append(connectors, running)
	}
	return connectors
}

// changeRecords returns the records of a change by the folder. An existing target state stays.
func changeRecords(change resolved.Change, topic config.Snapshot,
	annotations map[string]json.RawMessage) (records []configtopic.Record) {
	switch change.Action {
	case resolved.NoChange:
		if configtopic.AnnotatedFile(annotations[change.Name]) != filepath.Base(change.Connector.File) {
			records = append(records, configtopic.FolderRecord(change.Name, change.Connector.File))
		}
	case resolved.Create, resolved.UpdateInPlace, resolved.Restart:
		if change.Action == resolved.Create && topic.Targets[change.Name] == "" && change.Connector.InitialState != nil {
			records = append(records, configtopic.TargetRecord(change.Name, change.Connector.InitialTarget()))
		}
		records = append(records, configtopic.FolderRecord(change.Name, change.Connector.File),
			configtopic.ConnectorRecord(change.Name, change.Connector.Raw()))
	case resolved.Remove:
		records = append(configtopic.DeleteRecords(change.Name), configtopic.FolderRecord(change.Name, ""))
	case resolved.Reject: // no records: the connector stays as it is
	}
	return records
}

// connectorsDigest returns a hash of a folder's connectors without their file names, by which workers compare folders.
func connectorsDigest(connectors []*config.Connector) string {
	contents := map[string]any{}
	for _, c := range connectors {
		contents[c.Name] = []any{c.Raw(), c.InitialTarget()}
	}
	document, _ := json.Marshal(contents) // of texts
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:16]) // 128 bits are enough to compare
}
