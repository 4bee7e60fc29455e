package configtopic

import (
	"encoding/json"
	"path/filepath"
)

// FolderAnnotation begins the keys of annotations of connectors from a folder. The values contain the file's name.
const FolderAnnotation = string(KindAnnotation) + "folder-"

// FolderRecord returns the record that marks a connector as created by a file. An empty file deletes it.
func FolderRecord(connector, file string) Record {
	r := Record{Key: FolderAnnotation + connector}
	if file != "" {
		r.Value = encodeJSON(object{"file": filepath.Base(file)})
	}
	return r
}

// DeleteRecords returns the records that delete a connector and its target state.
func DeleteRecords(name string) []Record {
	return []Record{ConnectorRecord(name, nil), TargetRecord(name, "")}
}

// AnnotatedFile returns the file name in an annotation of a folder, "" if the annotation is nil or damaged.
func AnnotatedFile(annotation json.RawMessage) string {
	var decoded struct{ File string }
	_ = json.Unmarshal(annotation, &decoded) // a damaged annotation names no file
	return decoded.File
}
